/* Processes and threads: how they are born, execute, look into one another, and end. */
#include "common.h"

static void plain(void) { twin(write_four, full(8)); }

static void from_outside(void)
{
    char *p = full(16);
    int self = syscall(SYS_pidfd_open, getpid(), 0);
    struct iovec v[2] = {{p, 2 * P}, {p + 4 * P, 2 * P}};
    syscall(SYS_process_madvise, self, v, 2, MADV_DONTNEED, 0);
    syscall(SYS_process_madvise, self, v, 2, MADV_COLD, 0);
    pid_t c = fork();
    if (!c) { touch(p, 8, 4); done(); }
    await(1);
    int child = syscall(SYS_pidfd_open, c, 0);
    v[0].iov_base = p + 8 * P;
    syscall(SYS_process_madvise, child, v, 2, MADV_PAGEOUT, 0);
    syscall(SYS_process_madvise, child, v, 2, MADV_WILLNEED, 0);
    struct iovec w = {p + 8 * P, 2 * P}, away = {p + 12 * P, 3 * P}, gone = {p + 15 * P, 2 * P}, *remote = &w;
    char b[3 * P];
    memset(b, 3, sizeof b);
    w.iov_base = b; w.iov_len = 3 * P;
    CHECK(process_vm_writev(c, remote, 1, &away, 1, 0) == 3 * P && process_vm_readv(c, &w, 1, &away, 1, 0) == 3 * P);
    process_vm_writev(c, &w, 1, &gone, 1, 0);
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    prlimit(c, RLIMIT_STACK, &limit, NULL);
}

static void exec_fd(void)
{
    int mem = memfd_create("exec", 0), self = open("/proc/self/exe", O_RDONLY);
    while (sendfile(mem, self, 0, 1 << 20) > 0) {}
    char *const argv[] = {"adversary", "plain", NULL};
    syscall(SYS_execveat, mem, "", argv, environ, AT_EMPTY_PATH);
    CHECK(0);
}

static void *exec_other(void *p) { touch(p, 0, 2); again("plain"); return p; }
static void exec_thread(void) { pthread_t t; pthread_create(&t, 0, exec_other, full(4)); pause(); }
static void implies_exec(void) { CHECK(personality(READ_IMPLIES_EXEC) >= 0); touch(map(4, RW, ANON, -1, 0), 0, 2);
    again("more"); }
static void more(void) { full(4); twin(write_four, map(4, RW, ANON, -1, 0)); CHECK(!mprotect(full(4), P, PROT_READ));
    sbrk(3 * P); }
static void not_random(void) { CHECK(personality(ADDR_NO_RANDOMIZE) >= 0); again("more"); }
static void long_arguments(void)
{
    static char text[30 * P];
    memset(text, 'x', sizeof text - 1);
    char *const argv[] = {"adversary", "plain", text, text + P, text, text, NULL};
    execve("/proc/self/exe", argv, environ);
    CHECK(0);
}

static int shares(void *p) { touch(p, 4, 1); touch(anon(4), 0, 3); done(); return 0; }

static void born(void)
{
    char *p = full(8), *stack = full(8) + 8 * P;
    struct { uint64_t flags, rest[10]; } how = {.rest = {[3] = SIGCHLD}};
    pid_t c = syscall(SYS_clone3, &how, sizeof how);
    if (!c) { touch(p, 0, 2); done(); }
    await(1);
    c = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (!c) { touch(p, 2, 2); done(); }
    await(1);
    c = clone(shares, stack, CLONE_VM | SIGCHLD, p);
    await(1);
    char *const argv[] = {"adversary", "child", NULL};
    c = vfork();
    if (!c) { p[4 * P] = 2; execve("/proc/self/exe", argv, environ); _exit(1); }
    await(1);
    CHECK(!posix_spawn(&c, "/proc/self/exe", 0, 0, argv, environ));
    await(1);
    touch(p, 0, 8);
    touch(anon(2), 0, 2);
}

static volatile int stop;
static void *faults(void *p) { while (!stop) { touch(p, 0, 64); } return p; }
static void *maps(void *p) { (void)p; while (!stop) { char *q = full(3); munmap(q + P, P); munmap(q, 3 * P); } return 0; }

static void fork_threads(void)
{
    pthread_t t[2];
    char *p = full(64);
    pthread_create(t, 0, faults, p), pthread_create(t + 1, 0, maps, 0);
    for (int i = 0; i < 30; i++) mortal(write_four, p);
    twin(write_four, p);
    stop = 1;
    pthread_join(t[0], 0), pthread_join(t[1], 0);
}

static void *stays(void *p) { usleep(2000); touch(p, 0, 4); touch(anon(4), 0, 2); rest(READY); return 0; }
static void first_ends(void) { pthread_t t; char *p = full(8); pthread_create(&t, 0, stays, p); pthread_exit(0); }
static void *passes(void *p) { char room[4 * P]; memset(room, 1, sizeof room); touch(p, 0, 1); free(malloc(1000)); return 0; }

static void threads(void)
{
    pthread_t t[4];
    pthread_attr_t how;
    char *p = full(4);
    pthread_attr_init(&how), pthread_attr_setstacksize(&how, 64 << 10), pthread_attr_setguardsize(&how, 3 * P);
    for (int i = 0; i < 4; i++) pthread_create(t + i, i & 1 ? &how : 0, passes, p);
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    pthread_create(t, 0, passes, p), pthread_join(*t, 0);
    twin(write_four, p);
}

static void poked(void)
{
    char *p = full(8);
    pid_t c = fork();
    if (!c) { look(p, 0, 1); done(); }
    await(1);
    CHECK(!ptrace(PTRACE_SEIZE, c, 0, 0) && !ptrace(PTRACE_INTERRUPT, c, 0, 0) && waitpid(c, 0, __WALL) == c);
    CHECK(!ptrace(PTRACE_POKEDATA, c, p + P, 7L) && !ptrace(PTRACE_POKEDATA, c, (char *)poked, *(long *)poked));
    ptrace(PTRACE_PEEKDATA, c, p + 2 * P, 0);
    CHECK(!ptrace(PTRACE_DETACH, c, 0, 0));
}

static void chained(void)
{
    char *p = full(16);
    for (int i = 0; i < 8; i++) {
        pid_t c = fork();
        CHECK(c >= 0);
        if (c) { touch(p, i, 1); if (i == 2 || i == 4) _exit(0); if (i) done(); await(5); return; }
        touch(p, i + 4, 2);
        if (i == 5) CHECK(syscall(SYS_mremap, p + 8 * P, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0) > 0);
    }
    done();
}

static void ended(void)
{
    char *p = full(8);
    for (int i = 0; i < 6; i++) {
        pid_t c = fork();
        if (!c) {
            touch(p, i, 2);
            if (i == 0) kill(getpid(), SIGKILL);
            if (i == 1) abort();
            if (i == 2) syscall(SYS_exit, 0);
            if (i == 3) { mortal(write_four, p); execl("/nowhere", "nowhere", NULL); _exit(1); }
            if (i == 4) { if (!fork()) { usleep(1000); touch(p, 0, 2); done(); } _exit(0); }
            if (i == 5) { if (!vfork()) _exit(0); _exit(0); }
        }
        waitpid(c, 0, 0);
    }
    await(1);
    touch(p, 0, 8);
}
