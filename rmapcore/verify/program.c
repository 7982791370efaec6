/* case: about */
/*
 * The program that a case becomes, with a small case in the places that rmapcore.verify.c_program fills in: between
 * "case: ..." and "case: end" (about, numbers, steps). Compiles and runs as it is.
 *
 *     conductor --> p0 - fork -> p1, p2, ...      each waits at a pipe for what to do and answers at another
 *         +-------> /proc of each, at the end
 */
/* case: end */
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* case: numbers */
#define PROCESSES 2
#define FILES 1
#define PLACES 1
#define PINS 0
#define RECLAIMS 0                      /* whether a step reclaims memory */

static const int process_numbers[PROCESSES] = { 0, 1 };
static const char *file_names[FILES + 1] = { "F0", NULL };
static const long file_pages[FILES + 1] = { 4, 0 };
static const char *place_names[PLACES + 1] = { "H", NULL };
/* case: end */

#define HELPER static __attribute__((unused))
#define PAGE 4096L
#define BASE 0x200000000000L            /* of the window, in every process */
#define AT(page) (BASE + (page) * PAGE)
#define WRONG_VALUE (-1000L)            /* a byte that is not the one expected */

/* numbers that older headers do not have */
#define MAP_NOREPLACE 0x100000
#define MAP_DROP 0x08
#define MREMAP_KEEP 4
#define SYSTEM_mseal 462
#define SET_MEMORY_MERGE 67

enum { CALL, READ, WRITE, FILL, PIN, PIN_READ, BIND, REGISTER, LIMIT, FORK, EXIT, EXEC };
struct command { int what; long a[7]; };

static long place_start[PLACES + 1], place_pages[PLACES + 1];

/* descriptors that every process has under the same numbers: pipes to and from each, the files, a pipe for bytes */
#define TO(p) (100 + 4 * (p))
#define FROM(p) (102 + 4 * (p))
#define FILE_FD(f) (40 + (f))
#define BYTES_FD 30

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

/* pins are this process's own: closed by its exec, and by its children */
static int pins[PINS + 1][2];

static void let_go(int *ends)
{
    if (ends[0]) {
        close(ends[0]);
        close(ends[1]);
    }
    ends[0] = ends[1] = 0;
}

static long pin(const struct command *c)
{
    struct iovec vector = { (void *)c->a[1], 1 };
    int ends[2];
    long error;

    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    if (vmsplice(ends[1], &vector, 1, 0) != 1) {
        error = -errno;
        let_go(ends);
        return error;
    }
    let_go(pins[c->a[0]]);
    memcpy(pins[c->a[0]], ends, sizeof ends);
    return 0;
}

static long pin_read(const struct command *c)
{
    int *ends = pins[c->a[0]];
    unsigned char byte;
    long got;

    if (!ends[0])
        return -EBADF;
    got = read(ends[0], &byte, 1);
    let_go(ends);
    return got == 1 && byte == c->a[1] ? 0 : WRONG_VALUE;
}

static long bind_range(const struct command *c)
{
    unsigned long nodes = 1;

    return syscall(SYS_mbind, c->a[0], c->a[1], c->a[2], c->a[2] ? &nodes : NULL, c->a[2] ? 64 : 0, 0) ? -errno : 0;
}

static long limit_stack(long pages)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_STACK, &limit))
        return -errno;
    limit.rlim_cur = (rlim_t)pages * PAGE;
    return setrlimit(RLIMIT_STACK, &limit) ? -errno : 0;
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
        case LIMIT:
            result = limit_stack(c.a[0]);
            break;
        case FORK:
            result = fork();
            if (result == 0) {
                me = (int)c.a[0];
                for (int k = 0; k < PINS; k++)
                    let_go(pins[k]);
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

/* ---- a memory control group (cgroup version 1) of our own ---- */

static char group[64];

static long put(const char *directory_of, const char *name, const char *text)
{
    char path[256];
    int fd;
    long done;

    snprintf(path, sizeof path, "%s/%s", directory_of, name);
    fd = open(path, O_WRONLY);
    done = fd < 0 ? -1 : write(fd, text, strlen(text));
    if (fd >= 0)
        close(fd);
    return done < 0 ? -errno : 0;
}

static void enter_group(void)
{
    snprintf(group, sizeof group, "/sys/fs/cgroup/memory/case-%d", getpid());
    if (mkdir(group, 0755) || put(group, "cgroup.procs", "0"))
        die(group);
}

static long group_use(void)
{
    char path[256], text[32] = "";
    int fd;
    long got;

    snprintf(path, sizeof path, "%s/memory.usage_in_bytes", group);
    fd = open(path, O_RDONLY);
    got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    return got > 0 ? atol(text) : -1;
}

/* whether active pages are looked at depends on statistics that are brought up to date after some changes */
static void disturb(void)
{
    long length = 128 * sysconf(_SC_NPROCESSORS_CONF) * PAGE;
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    char path[256], text[4096];
    int fd;

    if (memory != MAP_FAILED)
        munmap(memory, length);
    snprintf(path, sizeof path, "%s/memory.stat", group);
    fd = open(path, O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text) < 0)
        die(path);
    close(fd);
}

HELPER long reclaim(void)
{
    long before = -1, same = 0;

    for (int round = 0; round < 20 && same < 2; round++) {
        long use;

        disturb();
        use = group_use();
        same = use == before ? same + 1 : 0;
        before = use;
        if (put(group, "memory.force_empty", "0"))
            return -errno;
    }
    return 0;
}

static void leave_group(void)
{
    put("/sys/fs/cgroup/memory", "cgroup.procs", "0");
    for (int tries = 0; rmdir(group) && errno == EBUSY && tries < 1000; tries++)
        usleep(1000);
}

/* ---- KSM ---- */

static long ksm(const char *name, long value)
{
    char path[128], text[32] = "";
    int fd;

    snprintf(path, sizeof path, "/sys/kernel/mm/ksm/%s", name);
    fd = open(path, value < 0 ? O_RDONLY : O_WRONLY);
    if (fd < 0)
        return -errno;
    if (value < 0)
        value = read(fd, text, sizeof text - 1) > 0 ? atol(text) : -1;
    else
        value = dprintf(fd, "%ld", value) > 0 ? 0 : -errno;
    close(fd);
    return value;
}

HELPER long ksm_scan(long scans)
{
    long pages = ksm("pages_to_scan", -1), pause = ksm("sleep_millisecs", -1), smart = ksm("smart_scan", -1);
    long done = ksm("full_scans", -1);

    ksm("pages_to_scan", 100000);
    ksm("sleep_millisecs", 0);
    if (smart > 0)
        ksm("smart_scan", 0);
    if (ksm("run", 1) < 0)
        return -errno;
    while (ksm("full_scans", -1) < done + scans)
        usleep(1000);
    ksm("run", 0);
    ksm("pages_to_scan", pages);
    ksm("sleep_millisecs", pause);
    if (smart > 0)
        ksm("smart_scan", smart);
    return 0;
}

/* ---- looking: areas from smaps, pages from pagemap, frames numbered in order of first sight ---- */

static unsigned long *seen[2];
static long n_seen[2], room[2];

static long identity(int slots, unsigned long value)
{
    for (long at = 0; at < n_seen[slots]; at++)
        if (seen[slots][at] == value)
            return at;
    if (n_seen[slots] == room[slots]) {
        room[slots] = room[slots] ? 2 * room[slots] : 1024;
        seen[slots] = realloc(seen[slots], room[slots] * sizeof(long));
        if (!seen[slots])
            die("realloc");
    }
    seen[slots][n_seen[slots]] = value;
    return n_seen[slots]++;
}

static unsigned long word(const char *path, long index)
{
    unsigned long value = 0;
    int fd = open(path, O_RDONLY);

    if (fd >= 0) {
        if (pread(fd, &value, 8, 8 * index) != 8)
            value = 0;
        close(fd);
    }
    return value;
}

struct run { const char *kind; long first, count, mapcount, id; };

static void print_run(const char *place, const struct run *run)
{
    if (!run->count)
        return;
    printf("  pages %s%ld-%ld %s", place, run->first, run->first + run->count, run->kind);
    if (run->mapcount)
        printf(" mapcount %ld", run->mapcount);
    if (run->id >= 0)
        printf(" %s %ld", strcmp(run->kind, "swapped") ? "frame" : "slot", run->id);
    printf("\n");
}

static void show_pages(int fd, const char *place, const char *of_file, long start, long end, long origin)
{
    struct run run = { .count = 0 };

    for (long page = start; page < end; page++) {
        struct run now = { NULL, page - origin, 1, 0, -1 };
        unsigned long entry = 0, pfn, flags;

        if (pread(fd, &entry, 8, page * 8) != 8)
            entry = 0;
        pfn = entry & ((1UL << 55) - 1);
        if (entry >> 63) {
            flags = pfn ? word("/proc/kpageflags", pfn) : 0;
            now.kind = entry >> 61 & 1 ? of_file : flags >> 24 & 1 ? "zero" : flags >> 21 & 1 ? "ksm" : "anon";
            if (pfn && !(flags >> 24 & 1)) {
                now.mapcount = (long)word("/proc/kpagecount", pfn);
                now.id = identity(0, pfn);
            }
        } else if (entry >> 58 & 1) {
            now.kind = "guard";
        } else if (entry >> 62 & 1) {
            now.kind = "swapped";
            now.id = pfn ? identity(1, pfn) : -1;
        }
        if (now.kind && run.count && run.kind == now.kind && run.first + run.count == now.first &&
            run.mapcount == now.mapcount && now.id == (run.id < 0 ? run.id : run.id + run.count)) {
            run.count++;
            continue;
        }
        print_run(place, &run);
        run = now;
        run.count = now.kind != NULL;
    }
    print_run(place, &run);
}

/* "" and 0 for the window, the name and first page of a place; NULL for what no step named */
static const char *place_of(long start, long end, long *origin)
{
    const char *found = NULL;

    *origin = BASE / PAGE;
    if (start >= BASE / PAGE - (1L << 20) && start < BASE / PAGE + (1L << 27))
        return "";
    for (int place = 0; place < PLACES; place++) {
        long first = place_start[place] / PAGE;

        if (first && start < first + place_pages[place] && first < end && (!found || first < *origin)) {
            found = place_names[place];
            *origin = first;
        }
    }
    return found;
}

static const char *known_flags = " ac nr lo lf mg dc wf dd rr sr dp sl ";

/* the heap first: where it lies depends on how the program was linked */
static void show_process(int p, int pages, int in_heap)
{
    char path[64], line[512], name[300], prefix[64];
    struct { long start, end, pgoff; char perms[5], kind[64]; } area = { .end = 0 };
    FILE *smaps;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/smaps", pids[p]);
    smaps = fopen(path, "r");
    snprintf(path, sizeof path, "/proc/%d/pagemap", pids[p]);
    fd = open(path, O_RDONLY);
    if (!smaps || fd < 0)
        die(path);
    while (fgets(line, sizeof line, smaps)) {
        const char *place;
        char perms[5];
        long start, end, pgoff, origin;

        name[0] = 0;
        if (sscanf(line, "%lx-%lx %4s %lx %*s %*s %299[^\n]", &start, &end, perms, &pgoff, name) >= 4) {
            const char *last = strrchr(name, '/');

            area.start = start / PAGE;
            area.end = end / PAGE;
            area.pgoff = pgoff / PAGE;
            strcpy(area.perms, perms);
            strcpy(area.kind, !name[0] || name[0] == '[' ? "anon" : strcmp(name, "/dev/zero (deleted)") ? "?" : "shm");
            for (int file = 0; file < FILES; file++) {
                size_t length = strlen(file_names[file]);

                if (file_names[file][0] == 'Z' && !strcmp(name, "/dev/zero"))
                    strcpy(area.kind, file_names[file]);
                else if (last && (!strncmp(last + 1, file_names[file], length) ?
                         !last[1 + length] || last[1 + length] == ' ' :
                         !strncmp(last + 1, "memfd:", 6) && !strncmp(last + 7, file_names[file], length)))
                    strcpy(area.kind, file_names[file]);
            }
            continue;
        }
        if (strncmp(line, "VmFlags:", 8) || !(place = place_of(area.start, area.end, &origin)) ||
            (strcmp(place, "H") == 0) != in_heap)
            continue;
        if (!strcmp(place, "H") && area.start < origin) {
            area.pgoff += origin - area.start;
            area.start = origin;
        }
        snprintf(prefix, sizeof prefix, "%s%s", place, *place ? "+" : "");
        if (pages) {
            show_pages(fd, prefix, area.kind[0] == 'M' || !strcmp(area.kind, "shm") ? "shmem" : "file", area.start, area.end,
                   origin);
            continue;
        }
        printf("  area %s%ld-%ld %s %s", prefix, area.start - origin, area.end - origin, area.perms, area.kind);
        if (strcmp(area.kind, "anon"))
            printf(" from %ld", area.pgoff);
        for (char *flag = strtok(line + 8, " \n"); flag; flag = strtok(NULL, " \n"))
            if (strlen(flag) == 2 && strstr(known_flags, flag))
                printf(" %s", flag);
        printf("\n");
    }
    fclose(smaps);
    close(fd);
}

static void show(const char *when)
{
    n_seen[0] = n_seen[1] = 0;
    printf("%s\n", when);
    for (int p = 0; p < PROCESSES; p++)
        if (pids[p]) {
            printf("p%d\n", process_numbers[p]);
            for (int what = 0; what < 4; what++)
                show_process(p, what / 2, what % 2 == 0);
        }
    if (!n_seen[0] && geteuid())
        printf("frames and mapcounts: for root only\n");
}

/* ---- setting up ---- */

static void move_fd(int from, int to)
{
    if (from != to && (dup2(from, to) < 0 || close(from)))
        die("dup2");
}

static void make_pipe(int first)
{
    int ends[2];

    if (pipe(ends))
        die("pipe");
    move_fd(ends[0], first);
    move_fd(ends[1], first + 1);
}

static void make_files(void)
{
    static char page[PAGE];
    char path[128];

    strcpy(directory, "/var/tmp/case-XXXXXX");
    if (!mkdtemp(directory))
        die(directory);
    for (int file = 0; file < FILES; file++) {
        int fd;

        if (file_names[file][0] == 'M') {
            fd = memfd_create(file_names[file], 0);
        } else if (file_names[file][0] == 'Z') {
            fd = open("/dev/zero", O_RDWR);
        } else {
            snprintf(path, sizeof path, "%s/%s", directory, file_names[file]);
            fd = open(path, O_RDWR | O_CREAT, 0600);
        }
        if (fd < 0)
            die(file_names[file]);
        for (long at = 0; at < file_pages[file]; at++) {
            memset(page, (int)(at % 251 + 1), PAGE);
            if (write(fd, page, PAGE) != PAGE)
                die(file_names[file]);
        }
        fdatasync(fd);
        move_fd(fd, FILE_FD(file));
    }
}

static void remove_files(void)
{
    char path[128];

    for (int file = 0; file < FILES; file++)
        if (file_names[file][0] != 'M') {
            snprintf(path, sizeof path, "%s/%s", directory, file_names[file]);
            unlink(path);
        }
    rmdir(directory);
}

static void steps(void);

int main(int argc, char **argv)
{
    cpu_set_t one;
    long ready = 0;
    int cpu = sched_getcpu();

    if (argc > 1) {                 /* a process of the case after its exec */
        int me = atoi(argv[1]);

        heap();
        if (write(FROM(me) + 1, &ready, sizeof ready) != sizeof ready)
            return 1;
        serve(me);
    }
    if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
        personality(ADDR_NO_RANDOMIZE);
        execv("/proc/self/exe", argv);
        die("execv");
    }
    /* one processor: fresh pages lie in lists of each; no huge pages; whoever ends is gone at once */
    CPU_ZERO(&one);
    CPU_SET(cpu < 0 ? 0 : cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    signal(SIGCHLD, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (RECLAIMS)
        enter_group();
    make_files();
    make_pipe(BYTES_FD);
    for (int p = 0; p < PROCESSES; p++) {
        make_pipe(TO(p));
        make_pipe(FROM(p));
    }
    pids[0] = fork();
    if (pids[0] < 0)
        die("fork");
    if (pids[0] == 0) {
        /* nobody but the conductor holds these: when it ends, all end */
        for (int p = 0; p < PROCESSES; p++) {
            close(TO(p) + 1);
            close(FROM(p));
        }
        serve(0);
    }
    exec_process(0);
    steps();
    show("at the end");
    for (int p = 0; p < PROCESSES; p++)
        if (pids[p])
            exit_process(p);
    remove_files();
    if (RECLAIMS)
        leave_group();
    return 0;
}

/* ---- the case ---- */

/* case: steps */
static void steps(void)
{
    step(1, "mmap p0 at 0 len 2 prot 'rw'",
         call(0, SYS_mmap, AT(0), 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NOREPLACE, -1, 0), 0);
    step(2, "write p0 at 0 len 1 value 7",
         tell(0, WRITE, AT(0), 1, 7), 0);
    step(3, "fork p0 child 'p1'",
         fork_process(0, 1), 0);
    step(4, "read p1 at 0 len 1 value 7",
         tell(1, READ, AT(0), 1, 7), 0);
}
/* case: end */
