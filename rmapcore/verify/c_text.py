"""The parts of the C programs of `c_program` that are the same in all of them: text, nothing runs here.

    conductor ──> p0 ─ fork ─> p1, p2, ...      each waits at a pipe for what to do and answers at another
        └─────> /proc of each, at the end

`HEAD` stands first, with `@PROCESSES@` and the like filled in; the rest is in `c_show`.
"""

HEAD = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define HELPER static __attribute__((unused))
#define PAGE 4096L
#define BASE 0x200000000000L            /* of the window, in every process */
#define AT(page) (BASE + (page) * PAGE)
#define PROCESSES @PROCESSES@
#define FILES @FILES@
#define PLACES @PLACES@
#define WRONG_VALUE (-1000L)            /* a byte that is not the one expected */

/* numbers that older headers do not have */
#define MAP_NOREPLACE 0x100000
#define MAP_DROP 0x08
#define MREMAP_KEEP 4
#define SYSTEM_mseal 462
#define SET_MEMORY_MERGE 67

enum { CALL, READ, WRITE, FILL, PIN, PIN_READ, BIND, REGISTER, FORK, EXIT, EXEC };
struct command { int what; long a[7]; };

static const char *file_names[FILES + 1] = { @FILE_NAMES@ };
static const long file_pages[FILES + 1] = { @FILE_PAGES@ };
static const char *place_names[PLACES + 1] = { @PLACE_NAMES@ };
static long place_start[PLACES + 1], place_pages[PLACES + 1];

/* descriptors that every process has under the same numbers: pipes to and from each, the files, a pipe for bytes */
#define TO(p) (100 + 4 * (p))
#define FROM(p) (102 + 4 * (p))
#define FILE_FD(f) (40 + (f))
#define BYTES_FD 30
#define PIN_FD(k) (60 + 2 * (k))

static pid_t pids[PROCESSES];
static char directory[64];
static int failed;                      /* whether the last step gave an error */

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* ---- what the processes do ---- */

static void heap(void)
{
    long now = syscall(SYS_brk, 0), start = (now + PAGE - 1) / PAGE * PAGE;

    syscall(SYS_brk, start + PAGE);
    *(volatile char *)start = 1;
}

/* one byte of each page, by the kernel: a fault is an error and no signal */
static long touch(const struct command *c)
{
    char byte = (char)c->a[2];
    long wrong = 0;

    for (long at = c->a[0], left = c->a[1]; left > 0; at += PAGE, left--) {
        if (c->what == WRITE) {
            if (write(BYTES_FD + 1, &byte, 1) != 1)
                return -errno;
            if (read(BYTES_FD, (void *)at, 1) != 1) {
                long error = -errno;
                return read(BYTES_FD, &byte, 1) == 1 ? error : -EIO;
            }
        } else {
            if (write(BYTES_FD + 1, (void *)at, 1) != 1)
                return -errno;
            if (read(BYTES_FD, &byte, 1) != 1)
                return -errno;
            wrong |= c->a[2] >= 0 && (unsigned char)byte != c->a[2];
        }
    }
    return wrong ? WRONG_VALUE : 0;
}

static long fill(const struct command *c)
{
    static char page[PAGE];

    memset(page, (int)c->a[2], PAGE);
    for (long at = c->a[0], left = c->a[1]; left > 0; at += PAGE, left--)
        if (write(BYTES_FD + 1, page, PAGE) != PAGE || read(BYTES_FD, (void *)at, PAGE) != PAGE)
            return -errno;
    return 0;
}

static long pin(const struct command *c)
{
    struct iovec vector = { (void *)c->a[1], 1 };
    int ends[2];

    if (pipe(ends))
        return -errno;
    dup2(ends[0], PIN_FD(c->a[0]));
    dup2(ends[1], PIN_FD(c->a[0]) + 1);
    close(ends[0]);
    close(ends[1]);
    return vmsplice(PIN_FD(c->a[0]) + 1, &vector, 1, 0) == 1 ? 0 : -errno;
}

static long pin_read(const struct command *c)
{
    unsigned char byte;
    long got = read(PIN_FD(c->a[0]), &byte, 1);

    close(PIN_FD(c->a[0]));
    close(PIN_FD(c->a[0]) + 1);
    return got == 1 && byte == c->a[1] ? 0 : WRONG_VALUE;
}

static long bind_range(const struct command *c)
{
    unsigned long nodes = 1;

    return syscall(SYS_mbind, c->a[0], c->a[1], c->a[2], c->a[2] ? &nodes : NULL, c->a[2] ? 64 : 0, 0) ? -errno : 0;
}

static long register_range(const struct command *c)
{
    struct uffdio_api api = { .api = UFFD_API };
    struct uffdio_register range = { .range = { c->a[0], c->a[1] }, .mode = UFFDIO_REGISTER_MODE_MISSING };
    int fd = (int)syscall(SYS_userfaultfd, 1);

    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))
        return -errno;
    return 0;
}

static void serve(int me)
{
    struct command c;
    long result;

    for (;;) {
        if (read(TO(me), &c, sizeof c) != sizeof c)
            _exit(0);
        switch (c.what) {
        case READ:
        case WRITE:
            result = touch(&c);
            break;
        case FILL:
            result = fill(&c);
            break;
        case PIN:
            result = pin(&c);
            break;
        case PIN_READ:
            result = pin_read(&c);
            break;
        case BIND:
            result = bind_range(&c);
            break;
        case REGISTER:
            result = register_range(&c);
            break;
        case FORK:
            result = fork();
            if (result == 0) {
                me = (int)c.a[0];
                continue;
            }
            result = result < 0 ? -errno : result;
            break;
        case EXIT:
            _exit(0);
        case EXEC: {
            char number[16];

            snprintf(number, sizeof number, "%d", me);
            execl("/proc/self/exe", "case", number, (char *)NULL);
            _exit(1);
        }
        default:
            result = syscall(c.a[0], c.a[1], c.a[2], c.a[3], c.a[4], c.a[5], c.a[6]);
            result = result == -1 ? -errno : result;
        }
        if (write(FROM(me) + 1, &result, sizeof result) != sizeof result)
            _exit(1);
    }
}

/* ---- the conductor ---- */

static long answer(int p)
{
    struct pollfd ready = { .fd = FROM(p), .events = POLLIN };
    long result;

    while (poll(&ready, 1, 200) == 0)
        if (kill(pids[p], 0))
            die("a process has ended");
    if (read(FROM(p), &result, sizeof result) != sizeof result)
        die("a process has ended");
    return result;
}

static void send_command(int p, const struct command *c)
{
    if (write(TO(p) + 1, c, sizeof *c) != sizeof *c)
        die("a process has ended");
}

HELPER long tell(int p, int what, long a, long b, long d)
{
    struct command c = { what, { a, b, d } };

    send_command(p, &c);
    return answer(p);
}

HELPER long call(int p, long number, long a, long b, long c, long d, long e, long f)
{
    struct command command = { CALL, { number, a, b, c, d, e, f } };

    send_command(p, &command);
    return answer(p);
}

HELPER long fork_process(int parent, int child)
{
    long pid = tell(parent, FORK, child, 0, 0);

    if (pid > 0)
        pids[child] = (pid_t)pid;
    return pid;
}

/* its memory is gone before its pid is */
HELPER long exit_process(int p)
{
    struct command c = { EXIT, { 0 } };

    send_command(p, &c);
    while (kill(pids[p], 0) == 0)
        usleep(100);
    pids[p] = 0;
    return 0;
}

static long exec_process(int p)
{
    struct command c = { EXEC, { 0 } };

    send_command(p, &c);
    return answer(p);
}

HELPER long named(long result, int place, long pages)
{
    if (result >= 0) {
        place_start[place] = result;
        place_pages[place] = pages;
    }
    return result;
}

/* the heap's place begins above the break of the first who moves it */
HELPER long set_break(int p, int place, long pages)
{
    long wanted;

    if (!place_start[place])
        place_start[place] = (call(p, SYS_brk, 0, 0, 0, 0, 0, 0) + PAGE - 1) / PAGE * PAGE;
    wanted = place_start[place] + pages * PAGE;
    if (call(p, SYS_brk, wanted, 0, 0, 0, 0, 0) != wanted)
        return -ENOMEM;
    if (place_pages[place] < pages)
        place_pages[place] = pages;
    return 0;
}

static void step(int number, const char *text, long result, int wanted)
{
    failed = result < 0;
    if (result == WRONG_VALUE)
        printf("step %d (%s): a byte that is not the one expected\n", number, text);
    else if ((result < 0 ? (int)-result : 0) != wanted)
        printf("step %d (%s): %s instead of %s\n", number, text,
               result < 0 ? strerror((int)-result) : "success", wanted ? strerror(wanted) : "success");
}
"""
