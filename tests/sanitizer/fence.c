/* Fences round what arenas hold, for the sanitizer build (pyx/base/fence.pxd tells when each function is called).
 *
 * What lies beyond the records in use is closed: to the next multiple of CHUNK by AddressSanitizer, the rest and one page
 * behind the arena by taking away all access. Of a record that was given back nothing may be touched either, but
 * - records of page tables (not their entries), which searches pass over by their level,
 * - the last 8 bytes of areas, mms and files: there they say that they are not alive.
 * Checks of all invariants read such records: between rmapcore_fence_open_given(1) and (0) they are open.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define EXPORTED __attribute__((visibility("default")))
#define PAGE 4096
#define CHUNK (64 << 10)
#define POOLS 32
#define ARENAS 64
#define TABLES 4
#define SCHEMES 8 /* the first pool of a scheme */
#define TABLE_RECORD 16
#define ALIVE 8 /* bytes at the end of a record that say that it is not alive */

void __asan_poison_memory_region(void const volatile *at, size_t size);
void __asan_unpoison_memory_region(void const volatile *at, size_t size);

struct pool { /* Pool of pyx/base/records.pxd */
  uint64_t capacity, bump, live, peak;
  uint32_t free, rmap_bytes, low_bytes, reserved;
};

struct arena {
  char *start;
  size_t record, records, used; /* bytes, how many, how many are open */
  char *open;                   /* up to here there is access */
  int number;
};

struct machine {
  const struct pool *pools;
  struct machine *next;
  struct arena arenas[ARENAS];
  int n_arenas;
  unsigned char *given[POOLS]; /* by record: 1 if it was given back */
  size_t n_given[POOLS];
};

static struct machine *machines;
static int opened; /* how many have asked for records that were given back */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what) {
  perror(what);
  abort();
}

static char *rounded(char *at, size_t to) { return (char *)(((uintptr_t)at + to - 1) / to * to); }

static char *end_of(const struct arena *a) { return rounded(a->start + a->record * a->records, PAGE); }

static struct machine *machine_of(const void *pools) {
  struct machine *m = machines;
  while (m && m->pools != pools) m = m->next;
  return m;
}

static void raise_to(struct arena *a, size_t used) {
  char *from, *to, *open;
  if (used > a->records) used = a->records;
  if (used <= a->used && a->open) return;
  from = a->start + a->record * a->used;
  to = a->start + a->record * used;
  open = rounded(to, CHUNK);
  if (open > end_of(a)) open = end_of(a);
  if (!a->open) a->open = a->start;
  /* what had no access so far is not poisoned: to say so of gigabytes would take memory */
  if (from < a->open) __asan_unpoison_memory_region(from, (to < a->open ? to : a->open) - from);
  if (open > a->open) {
    if (mprotect(a->open, open - a->open, PROT_READ | PROT_WRITE)) die("fence: mprotect");
    a->open = open;
    if (open > to) __asan_poison_memory_region(to, open - to);
  }
  a->used = used;
}

static void mark_record(struct arena *a, size_t record, int closed) {
  char *at = a->start + a->record * record;
  size_t size = a->record;
  if (record >= a->used || (a->number == TABLES && size == TABLE_RECORD)) return;
  if (a->number < SCHEMES && a->number != TABLES) size = size > ALIVE ? size - ALIVE : 0;
  if (closed)
    __asan_poison_memory_region(at, size);
  else
    __asan_unpoison_memory_region(at, size);
}

/* Closes a record that was given back, or opens it, in all arenas of its pool. */
static void mark_given(struct machine *m, int number, size_t record, int closed) {
  for (int i = 0; i < m->n_arenas; i++)
    if (m->arenas[i].number == number) mark_record(&m->arenas[i], record, closed);
}

/* The arena ends. Its memory may be gone already, or somebody's: only what the sanitizer thinks of it is put right. */
static void forget(struct machine *m, struct arena *a) {
  char *used = a->start + a->record * a->used;
  __asan_unpoison_memory_region(used, a->open - used);
  for (size_t record = 0; a->number >= 0 && record < m->n_given[a->number]; record++)
    if (m->given[a->number][record]) mark_record(a, record, 0);
  *a = (struct arena){a->start, 0, 0, 0, a->start, -1};
}

EXPORTED void rmapcore_fence_arena(const void *pools, int number, void *start, size_t record, size_t records) {
  struct machine *m;
  struct arena *a;
  char *end;
  pthread_mutex_lock(&lock);
  if (!pools) {
    m = calloc(1, sizeof *m);
    if (!m) die("fence");
    m->pools = start;
    m->next = machines;
    machines = m;
  } else if (!(m = machine_of(pools)))
    die("fence: no such machine");
  if (m->n_arenas == ARENAS) die("fence: ARENAS is too small");
  /* a machine whose memory is gone may not have said so yet, if it was garbage */
  for (struct machine *other = machines; other; other = other->next)
    for (int i = 0; i < other->n_arenas; i++) {
      struct arena *old = &other->arenas[i];
      if (old->records && old->start < (char *)start + record * records + PAGE && (char *)start < end_of(old) + PAGE)
        forget(other, old);
    }
  a = &m->arenas[m->n_arenas++];
  *a = (struct arena){start, record, records ? records : 1, 0, NULL, number};
  end = end_of(a);
  if (mprotect(start, end + PAGE - (char *)start, PROT_NONE)) die("fence: mprotect");
  raise_to(a, number < 0 ? a->records : m->pools[number].bump);
  pthread_mutex_unlock(&lock);
}

EXPORTED void rmapcore_fence_raised(const void *pools, int number) {
  struct machine *m;
  pthread_mutex_lock(&lock);
  m = machine_of(pools);
  for (int i = 0; m && i < m->n_arenas; i++)
    if (m->arenas[i].number == number) raise_to(&m->arenas[i], m->pools[number].bump);
  pthread_mutex_unlock(&lock);
}

static void given(const void *pools, int number, unsigned record, int closed) {
  struct machine *m;
  pthread_mutex_lock(&lock);
  m = machine_of(pools);
  if (m && record >= m->n_given[number]) {
    size_t n = record < 512 ? 1024 : 2 * (size_t)record;
    m->given[number] = realloc(m->given[number], n);
    if (!m->given[number]) die("fence");
    memset(m->given[number] + m->n_given[number], 0, n - m->n_given[number]);
    m->n_given[number] = n;
  }
  if (m) {
    m->given[number][record] = closed;
    mark_given(m, number, record, closed && !opened);
  }
  pthread_mutex_unlock(&lock);
}

EXPORTED void rmapcore_fence_taken(const void *pools, int number, unsigned record) { given(pools, number, record, 0); }

EXPORTED void rmapcore_fence_given(const void *pools, int number, unsigned record) { given(pools, number, record, 1); }

EXPORTED void rmapcore_fence_open_given(int open) {
  pthread_mutex_lock(&lock);
  opened += open ? 1 : -1;
  for (struct machine *m = machines; m; m = m->next)
    for (int number = 0; number < POOLS; number++)
      for (size_t record = 0; record < m->n_given[number]; record++)
        if (m->given[number][record]) mark_given(m, number, record, !opened);
  pthread_mutex_unlock(&lock);
}

EXPORTED void rmapcore_fence_gone(const void *pools) {
  pthread_mutex_lock(&lock);
  for (struct machine **at = &machines; *at; at = &(*at)->next) {
    struct machine *m = *at;
    if (m->pools != pools) continue;
    *at = m->next;
    for (int i = 0; i < m->n_arenas; i++) forget(m, &m->arenas[i]);
    for (int number = 0; number < POOLS; number++) free(m->given[number]);
    free(m);
    break;
  }
  pthread_mutex_unlock(&lock);
}
