/* Tiny programs that change areas, pages and page tables in every way that a recording could miss: test_adversary.py.

   adversary drive PROGRAM:MODE...    runs them one after the other; each stands, whole, until this one has ended */
#define _GNU_SOURCE
#include "areas.h"
#include "files.h"
#include "tasks.h"

static const struct { const char *name; void (*work)(void); } modes[] = {
#define MODE(name) {#name, name}
    MODE(plain), MODE(protect), MODE(policy), MODE(advise), MODE(guards), MODE(huge), MODE(from_outside), MODE(synced),
    MODE(truncated), MODE(emptied), MODE(punched), MODE(named), MODE(sysv), MODE(faulted), MODE(exec_fd), MODE(exec_thread),
    MODE(implies_exec), MODE(not_random), MODE(long_arguments), MODE(failing), MODE(born), MODE(fork_threads), MODE(first_ends),
    MODE(threads), MODE(uring), MODE(direct), MODE(waited), MODE(vectors), MODE(poked), MODE(stacks), MODE(limits),
        MODE(objects), MODE(secret), MODE(locks),
    MODE(populated), MODE(moved), MODE(placed), MODE(heap), MODE(signalled), MODE(chained), MODE(texts), MODE(ended),
        MODE(more),
    {"child", done},
};

static void drive(char **words)
{
    int ready[2], gate[2], sync[2];
    CHECK(!pipe2(gate, O_CLOEXEC));
    alarm(30);
    for (; *words; words++) {
        char *colon = strchr(*words, ':'), c;
        *colon = 0;
        CHECK(!pipe2(sync, O_CLOEXEC) && !pipe2(ready, O_CLOEXEC));
        if (!fork()) {
            dup2(ready[1], READY), dup2(gate[0], GATE), dup2(sync[0], SYNC_IN), dup2(sync[1], SYNC_OUT);
            execl(*words, "adversary", colon + 1, NULL);
            _exit(8);
        }
        close(sync[0]), close(sync[1]), close(ready[1]);
        if (read(ready[0], &c, 1) != 1) { dprintf(2, "%s:%s has ended\n", *words, colon + 1); exit(1); }
        close(ready[0]);
    }
}

int main(int n, char **words)
{
    if (n > 2 && !strcmp(words[1], "drive")) return drive(words + 2), 0;
    mode = words[1];
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(mode, modes[i].name)) { modes[i].work(); rest(READY); }
    return 7;
}
