/* Calls that make, change and move areas, and lock, advise or forbid what is in them. */
#include "common.h"

static void protect(void)
{
    char *p = full(16), *q = holed(12, 6);
    int key = syscall(SYS_pkey_alloc, 0, 0);
    syscall(SYS_pkey_mprotect, p, 4 * P, PROT_READ, -1);
    if (key > 0) syscall(SYS_pkey_mprotect, p + 8 * P, 2 * P, RW, key);
    CHECK(mprotect(q, 12 * P, PROT_READ) < 0);
    CHECK(!mprotect(p + 4 * P, 2 * P, PROT_NONE) && !mprotect(p + 5 * P, P, RW | PROT_EXEC) && !mprotect(p + 4 * P, P, RW));
    touch(p, 4, 4);
    char *s = full(4);
    if (!syscall(462, s, 2 * P, 0)) {
        CHECK(munmap(s, 4 * P) < 0 && mprotect(s, 4 * P, PROT_READ) < 0 && mremap(s, 2 * P, P, 0) == MAP_FAILED);
        CHECK(!madvise(s, P, MADV_DONTNEED));
        CHECK(mmap(s, P, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED);
    }
    twin(write_four, s);
}

static void policy(void)
{
    unsigned long node = 1;
    char *p = full(16), *q = holed(8, 4);
    syscall(SYS_mbind, p + 2 * P, 4 * P, 2, &node, 8, 0);
    syscall(SYS_mbind, p + 8 * P, 2 * P, 1, &node, 8, 2);
    syscall(SYS_mbind, p + 4 * P, 2 * P, 0, NULL, 0, 0);
    syscall(SYS_mbind, p + 12 * P, 2 * P, 3, &node, 8, 0);
    CHECK(syscall(SYS_mbind, q, 8 * P, 2, &node, 8, 0) < 0);
    CHECK(syscall(SYS_mbind, p, 2 * P, 77, &node, 8, 0) < 0);
    syscall(SYS_set_mempolicy, 2, &node, 8);
    touch(anon(4), 0, 4);
    twin(write_four, p);
}

static void advise(void)
{
    char *p = full(32), *q = holed(16, 8), *d = full(8);
    int a[] = {MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT, MADV_DONTDUMP, MADV_SEQUENTIAL, MADV_MERGEABLE, MADV_RANDOM,
               MADV_WILLNEED, MADV_NOHUGEPAGE, MADV_NORMAL, MADV_UNMERGEABLE};
    for (int i = 0; i < 12; i++) madvise(p + i * 2 * P, 2 * P, a[i]);
    touch(p, 2, 1);
    for (int i = 0; i < 3; i++) CHECK(madvise(q + (2 + 2 * i) * P, 8 * P, a[i]) < 0);
    CHECK(madvise(q + P, 0, MADV_DONTNEED) == 0 && madvise(q + 1, P, MADV_DONTNEED) < 0 && madvise(q, P, 999) < 0);
    CHECK(!madvise(d, 2 * P, MADV_DONTFORK) && !madvise(d + 4 * P, 2 * P, MADV_WIPEONFORK));
    twin(nothing, d);
    pid_t c = fork();
    if (!c) { touch(d, 4, 1); CHECK(!madvise(d + 4 * P, P, MADV_KEEPONFORK)); if (!fork()) { touch(d, 5, 1); done(); } done(); }
    await(2);
    CHECK(!madvise(d, P, MADV_DOFORK));
    twin(nothing, d);
}

static void guards(void)
{
    char *p = full(16);
    int fd = file("guards", 8);
    char *f = map(8, RW, MAP_PRIVATE, fd, 0);
    touch(f, 0, 4);
    if (!madvise(p + 2 * P, 4 * P, 102)) {
        CHECK(!madvise(p + 3 * P, P, 103) && madvise(p, 16 * P, MADV_POPULATE_WRITE) < 0 && !madvise(f + 3 * P, 2 * P, 102));
        CHECK(!madvise(p + 4 * P, P, MADV_DONTNEED));
    }
    CHECK(mprotect(p, 4 * P, PROT_READ) == 0 && mremap(p + 8 * P, 4 * P, 4 * P, MREMAP_MAYMOVE) == p + 8 * P);
    twin(nothing, p);
}

static void huge(void)
{
    char *p = (char *)(((long)map(2048, RW, ANON, -1, 0) + (1L << 21) - 1) & -(1L << 21));
    CHECK(!madvise(p, 2 << 20, MADV_HUGEPAGE));
    touch(p, 3, 1);
    char *q = p + (2 << 20);
    touch(q, 0, 20);
    madvise(q, 2 << 20, 25);
    twin(write_four, p);
    CHECK(!munmap(p + 100 * P, P));
    char *r = anon(600);
    CHECK(mremap(p + 200 * P, 100 * P, 100 * P, MREMAP_MAYMOVE | MREMAP_FIXED, r) == r);
}

static void named(void)
{
    char *p = full(16);
    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p + 4 * P, 4 * P, "a\tb");
    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p + 8 * P, 2 * P, "a\tb");
    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p + 4 * P, 2 * P, NULL);
    char *h = sbrk(0);
    CHECK(sbrk(8 * P) == h);
    touch(h, 0, 4);
    prctl(PR_SET_MM, PR_SET_MM_BRK, h + 2 * P, 0, 0);
    CHECK(!prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
    twin(write_four, p);
    char *x = full(2);
    CHECK(!prctl(65, 1, 0, 0, 0));
    CHECK(mprotect(x, P, RW | PROT_EXEC) < 0 && mmap(0, P, RW | PROT_EXEC, ANON, -1, 0) == MAP_FAILED);
    touch(x, 0, 2);
}

static int userfault(char *p, long n, long how)
{
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = {.api = UFFD_API, .features = 1 << 16};
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api)) return -1;
    struct uffdio_register all = {.range = {(long)p, n * P}, .mode = how};
    CHECK(!ioctl(fd, UFFDIO_REGISTER, &all));
    return fd;
}

static void faulted(void)
{
    char *p = anon(16), *q = anon(8), *b = full(8);
    int fd = userfault(p, 16, UFFDIO_REGISTER_MODE_MISSING), wp = userfault(q, 8, UFFDIO_REGISTER_MODE_WP);
    if (fd < 0) return;
    struct uffdio_copy copy = {.dst = (long)p, .src = (long)b, .len = 2 * P};
    struct uffdio_zeropage zero = {.range = {(long)p + 4 * P, 2 * P}};
    CHECK(!ioctl(fd, UFFDIO_COPY, &copy) && !ioctl(fd, UFFDIO_ZEROPAGE, &zero));
    touch(p, 0, 2), touch(p, 4, 1);
    struct { uint64_t dst, src, len, mode; int64_t move; } moved = {(long)p + 8 * P, (long)b + 4 * P, 2 * P, 0, 0};
    ioctl(fd, _IOWR(UFFDIO, 5, moved), &moved);
    struct uffdio_range half = {(long)p, 4 * P};
    CHECK(!ioctl(fd, UFFDIO_UNREGISTER, &half));
    touch(p, 2, 1);
    if (wp < 0) return;
    touch(q, 0, 4);
    struct uffdio_writeprotect on = {{(long)q, 2 * P}, UFFDIO_WRITEPROTECT_MODE_WP}, off = {{(long)q, P}, 0};
    CHECK(!ioctl(wp, UFFDIO_WRITEPROTECT, &on) && !ioctl(wp, UFFDIO_WRITEPROTECT, &off));
    touch(q, 0, 1);
    mortal(nothing, q);
}

static void failing(void)
{
    char *p = holed(12, 6), *q = holed(12, 6), *r = full(8), *top = sbrk(0), *s = holed(12, 2), *u = holed(12, 4);
    CHECK(mlock(p, 12 * P) < 0 && munlock(p + 3 * P, 9 * P) < 0);
    CHECK(mprotect(q, 12 * P, PROT_READ) < 0 && madvise(q, 12 * P, MADV_DONTNEED) < 0);
    CHECK(mremap(s, 4 * P, 6 * P, MREMAP_MAYMOVE) == MAP_FAILED && mremap(r, 9 * P, 2 * P, MREMAP_FIXED) == MAP_FAILED);
    CHECK(mremap(u + 3 * P, P, 4 * P, 0) != MAP_FAILED || 1);
    CHECK(mmap(r, 4 * P, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
    CHECK(brk(top + (1L << 46)) < 0 && mmap(0, 1L << 47, RW, ANON, -1, 0) == MAP_FAILED);
    CHECK(munmap(r + 1, P) < 0 && mprotect(r, P, 0x40) < 0 && mlock2(r, P, 99) < 0);
    struct rlimit few = {40 << 20, 40 << 20}, none = {0, 0};
    CHECK(!setrlimit(RLIMIT_AS, &few));
    CHECK(mmap(r, 64 << 20, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED);
    CHECK(!setrlimit(RLIMIT_DATA, &none) && sbrk(P) == (void *)-1);
    int fd = file("failing", 2), ro = open("failing", O_RDONLY);
    CHECK(mmap(r, P, RW, MAP_SHARED | MAP_FIXED, ro, 0) == MAP_FAILED &&
          mmap(r, P, RW, MAP_SHARED | MAP_FIXED, fd, 5) == MAP_FAILED);
    char *x = map(2, PROT_READ, MAP_SHARED, ro, 0);
    CHECK(mprotect(x, P, RW) < 0);
}

static int __attribute__((noinline)) deep(int n)
{ volatile char room[3 * P]; room[0] = n; return n ? deep(n - 1) + room[0] : 0; }

static void stacks(void)
{
    deep(200);
    char *room = alloca(300 * P);
    touch(room, 0, 300);
    char *g = map(64, PROT_NONE, ANON, -1, 0);
    CHECK(!munmap(g, 32 * P) && mmap(g + 40 * P, 4 * P, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0) == g + 40 * P);
    CHECK(!munmap(g + 32 * P, 8 * P));
    touch(g, 41, 1);
    for (int i = 39; i > 30; i--) touch(g, i, 1);
    CHECK(!mprotect(g + 43 * P, P, PROT_READ | PROT_GROWSDOWN) && !mprotect(g + 43 * P, P, RW));
    CHECK(!mprotect((void *)((long)room & -P), P, RW | PROT_EXEC | PROT_GROWSDOWN));
    char *local = alloca(20 * P);
    touch(local, 0, 20);
    twin(write_four, local);
}

static void limits(void)
{
    struct rlimit more = {64 << 20, RLIM_INFINITY};
    if (setrlimit(RLIMIT_STACK, &more)) return;
    deep(1000);
    twin(nothing, 0);
    again("more");
}

static void locks(void)
{
    char *p = anon(16), *q = anon(8), *r = holed(8, 4);
    CHECK(!mlock(p, 4 * P) && !mlock2(p + 4 * P, 4 * P, 1) && !munlock(p + 2 * P, 3 * P));
    touch(p, 5, 1), touch(p, 10, 1);
    CHECK(mlock(r, 8 * P) < 0 && mlock2(r, 8 * P, 1) < 0);
    touch(map(4, RW, ANON | MAP_LOCKED, -1, 0), 0, 1);
    map(4, PROT_NONE, ANON | MAP_LOCKED, -1, 0);
    char *o = map(4, PROT_READ, ANON, -1, 0);
    CHECK(!mlock(o, 4 * P) && !mprotect(o, 4 * P, RW));
    int fd = file("locks", 8);
    char *f = map(8, RW, MAP_PRIVATE, fd, 0), *s = map(8, RW, MAP_SHARED, fd, 0);
    CHECK(!mlock(f, 4 * P) && !mlock(s, 4 * P));
    CHECK(!mlockall(MCL_FUTURE | MCL_ONFAULT));
    touch(anon(8), 2, 2), map(4, RW, MAP_SHARED, fd, 2);
    CHECK(!mlockall(MCL_CURRENT | MCL_ONFAULT) && !mlockall(MCL_FUTURE));
    anon(4), map(4, RW, MAP_SHARED, fd, 1), sbrk(3 * P);
    char *t = anon(8);
    CHECK(mremap(t, 4 * P, 8 * P, MREMAP_MAYMOVE) != MAP_FAILED && madvise(t + 4 * P, P, MADV_DONTNEED) < 0);
    twin(write_four, q);
    CHECK(!mlockall(MCL_CURRENT) && !munlockall());
    anon(4);
}

static void moved(void)
{
    char *p = full(8), *room = anon(64), *q;
    CHECK(syscall(SYS_mremap, p, 8 * P, 8 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0) > 0);
    touch(p, 1, 2);
    CHECK(mremap(p, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_FIXED, room + 8 * P) == room + 8 * P);
    touch(room, 6, 8);
    q = full(16);
    CHECK(mremap(q, 16 * P, 6 * P, 0) == q && mremap(q, 6 * P, 10 * P, 0) == q);
    touch(q, 6, 4);
    CHECK(mremap(q + 2 * P, 2 * P, 30 * P, MREMAP_MAYMOVE) != MAP_FAILED);
    char *s = map(8, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    touch(s, 0, 4);
    char *t = mremap(s + P, 0, 4 * P, MREMAP_MAYMOVE);
    CHECK(t != MAP_FAILED && mremap(q, 0, P, MREMAP_MAYMOVE) == MAP_FAILED);
    touch(t, 0, 2);
    char *m = full(12);
    CHECK(!mprotect(m + 4 * P, 4 * P, PROT_READ));
    mremap(m, 12 * P, 12 * P, MREMAP_MAYMOVE | MREMAP_FIXED, room + 40 * P);    /* several areas: from 6.17 on */
    twin(write_four, t);
    char *u = full(4);
    mortal(write_four, u);
    CHECK(mremap(u, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, room + 60 * P) == room + 60 * P);
    CHECK(mremap(room + 60 * P, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, u) == u);
    touch(u, 0, 4);
}

static void placed(void)
{
    touch(map(4, RW, ANON | MAP_NORESERVE, -1, 0), 0, 2), touch(map(4, RW, ANON | MAP_32BIT, -1, 0), 0, 1);
    char *p = mmap(HOLED, 16 * P, RW, ANON, -1, 0), *q = mmap(HOLED + 4 * P, 2 * P, RW, ANON, -1, 0);
    CHECK(p == HOLED && q != MAP_FAILED);
    touch(p, 0, 16);
    CHECK(mmap(p + 3 * P, 4 * P, PROT_READ, ANON | MAP_FIXED, -1, 0) == p + 3 * P);
    CHECK(mmap(p + 5 * P, 6 * P, RW, ANON | MAP_FIXED, -1, 0) == p + 5 * P);
    CHECK(mmap(p + 12 * P, 2 * P, RW, ANON | MAP_FIXED | MAP_STACK, -1, 0) == p + 12 * P);
    CHECK(mmap(p + 20 * P, P, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p + 20 * P && !munmap(p + 14 * P, 4 * P));
    CHECK(mmap(0, 2 << 20, RW, ANON | MAP_HUGETLB, -1, 0) == MAP_FAILED || 1);
    touch(map(513, RW, ANON, -1, 0), 0, 3), touch(map(1024, RW, ANON, -1, 0), 1, 1);
    CHECK(!munmap(HOLED - 100 * P, 200 * P));
    p = mmap((void *)0x7ffff0000001L, 2 * P + 1, RW, ANON, -1, 0);
    touch(p, 0, 3);
    p = mmap((void *)(1L << 48), P, RW, ANON, -1, 0);
    touch(p, 0, 1);
    char *low = mmap(0, P, RW, ANON | MAP_FIXED, -1, 0);                         /* sysctl vm.mmap_min_addr */
    if (low == 0) { __asm__ volatile("movb $1, 0x10" ::: "memory"); }
}

static void heap(void)
{
    char *h = sbrk(0), *at = (char *)(((long)h + P - 1) & -P);
    CHECK(!brk(at + 8 * P + 10));
    touch(at, 0, 9);
    CHECK(!brk(at + 3 * P - 5) && !brk(at + 6 * P));
    touch(at, 3, 2);
    CHECK(!mprotect(at + P, P, PROT_READ));
    CHECK(mmap(at + 8 * P, P, RW, ANON | MAP_FIXED, -1, 0) == at + 8 * P && brk(at + 10 * P) < 0 && !brk(at + 7 * P));
    CHECK(!munmap(at + 2 * P, P));
    twin(write_four, at + 3 * P);
    CHECK(!brk(at) && !brk(at + 2 * P));
    touch(at, 0, 2);
}

static char *opened;
static void opens(int sig, siginfo_t *how, void *context)
{ (void)sig, (void)context; mprotect((void *)((long)how->si_addr & -P), P, RW); opened = how->si_addr; }
static int over(int n) { volatile char room[P]; room[0] = n; return n < 0 ? 0 : over(n + 1) + room[0]; }

static void signalled(void)
{
    struct sigaction how = {.sa_sigaction = opens, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    char *p = map(16, PROT_NONE, ANON, -1, 0), *alternate = anon(16);
    stack_t at = {.ss_sp = alternate, .ss_size = 16 * P};
    CHECK(!sigaltstack(&at, 0) && !sigaction(SIGSEGV, &how, 0));
    for (int i = 0; i < 8; i += 2) p[i * P] = 1;
    char *q = full(4);
    CHECK(!mprotect(q, 4 * P, PROT_READ));
    touch(q, 0, 2);
    catches(jump);
    tries(NULL), peeks((char *)(1L << 50)), tries(p + 9 * P), tries((char *)signalled), peeks((char *)0xffffffffff600000L);
    struct rlimit small = {256 << 10, RLIM_INFINITY};
    CHECK(!setrlimit(RLIMIT_STACK, &small));
    if (!sigsetjmp(back, 1)) over(0);
    CHECK(read(0, p + 11 * P, 1) < 1 || 1);
    pid_t c = fork();
    if (!c) { signal(SIGSEGV, SIG_DFL); *(volatile char *)8 = 1; }
    waitpid(c, 0, 0);
}
