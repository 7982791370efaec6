"""More parts of the C programs of `c_program`: how they show areas and pages, reclaim, let KSM scan, and begin. Text.

`RECLAIM` and `KSM` are for programs that need them. What is shown is what `live_pages` sees, in the words of a state.
"""

SHOW = r"""
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

                if (last && (!strncmp(last + 1, file_names[file], length) ?
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
"""

RECLAIM = r"""
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

static long reclaim(void)
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
"""

KSM = r"""
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

static long ksm_scan(long scans)
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
"""

MAIN = r"""
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
@ENTER@    make_files();
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
@LEAVE@    return 0;
}
"""
