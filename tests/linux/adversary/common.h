/* What all modes use. A process that is done says so by a byte, and stands until the gate closes. */
#pragma once
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define P 4096L
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define READY 200
#define GATE 201
#define SYNC_IN 202
#define SYNC_OUT 203
#define HOLED ((char *)0x10000000000L)
#define CHECK(what) do { if (!(what)) failed(#what, __LINE__); } while (0)

extern char **environ;
static const char *mode = "";
static volatile int sink;

static void failed(const char *what, int line)
{ dprintf(2, "%s: line %d: %s: %s\n", mode, line, what, strerror(errno)); _exit(9); }
static void rest(int out) { char c = 0; CHECK(write(out, &c, 1) == 1); while (read(GATE, &c, 1) < 0) {} _exit(0); }
static void done(void) { rest(SYNC_OUT); }                /* a child of a mode */
static void await(int n) { char c; while (n--) CHECK(read(SYNC_IN, &c, 1) == 1); }
static void touch(char *p, long first, long n) { for (long i = first; i < first + n; i++) p[i * P] += 1; }
static void look(char *p, long first, long n) { for (long i = first; i < first + n; i++) sink += p[i * P]; }
static char *map(long n, int prot, int flags, int fd, long page)
{ char *p = mmap(0, n * P, prot, flags, fd, page * P); CHECK(p != MAP_FAILED); return p; }
static char *anon(long n) { return map(n, RW, ANON, -1, 0); }
static char *full(long n) { char *p = anon(n); touch(p, 0, n); return p; }
static char *holed(long n, long at) { char *p = full(n); CHECK(!munmap(p + at * P, P)); return p; }
static void again(const char *as) { execl("/proc/self/exe", "adversary", as, NULL); CHECK(0); }
static int file(const char *name, long n)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    char page[P];
    memset(page, 1, P);
    CHECK(fd >= 0);
    while (n--) CHECK(write(fd, page, P) == P);
    return fd;
}
static void twin(void (*work)(char *), char *p) { pid_t c = fork(); CHECK(c >= 0); if (!c) { work(p); done(); } await(1); }
static void mortal(void (*work)(char *), char *p) { pid_t c = fork(); CHECK(c >= 0); if (!c) { work(p); _exit(0);
    } waitpid(c, 0, 0); }
static void write_four(char *p) { touch(p, 0, 4); }
static void nothing(char *p) { (void)p; }
static sigjmp_buf back;
static void jump(int sig) { (void)sig; siglongjmp(back, 1); }
static void catches(void (*handler)(int))
{
    struct sigaction how = {.sa_handler = handler, .sa_flags = SA_NODEFER | SA_ONSTACK};
    CHECK(!sigaction(SIGSEGV, &how, 0) && !sigaction(SIGBUS, &how, 0));
}
static void tries(char *p) { if (!sigsetjmp(back, 1)) *p += 1; }
static void peeks(char *p) { if (!sigsetjmp(back, 1)) sink += *p; }
