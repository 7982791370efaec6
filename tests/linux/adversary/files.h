/* Files that are mapped, cut, punched and read past their cache; shared memory; names. */
#include "common.h"

static void synced(void)
{
    int fd = file("synced", 16);
    char *p = map(16, RW, MAP_SHARED, fd, 0);
    for (int i = 0; i < 6; i++) {
        touch(p, 0, 8);
        if (i == 0) CHECK(!msync(p, 4 * P, MS_SYNC));
        if (i == 1) CHECK(!fsync(fd));
        if (i == 2) CHECK(!fdatasync(fd));
        if (i == 3) CHECK(!msync(p, 8 * P, MS_ASYNC));
        if (i == 4) CHECK(!sync_file_range(fd, 0, 8 * P, 7));
        if (i == 5) CHECK(pwrite(fd, "x", 1, 12 * P) == 1 && !syncfs(fd));
    }
    touch(p, 2, 2);
    look(p, 10, 2);
}

static void truncated(void)
{
    int fd = file("truncated", 16), mem = memfd_create("truncated", 0);
    char *s = map(16, RW, MAP_SHARED, fd, 0), *q = map(16, RW, MAP_PRIVATE, fd, 0);
    CHECK(!ftruncate(mem, 8 * P));
    char *m = map(16, RW, MAP_SHARED, mem, 0);
    catches(jump);
    touch(s, 0, 16), touch(q, 0, 10), look(q, 12, 4), touch(m, 0, 8);
    tries(m + 9 * P), peeks(m + 10 * P);
    twin(write_four, q);
    CHECK(!ftruncate(fd, 6 * P + 100) && !ftruncate(mem, 2 * P));
    tries(s + 8 * P), tries(q + 9 * P), peeks(q + 13 * P), tries(q + 6 * P), tries(m + 5 * P);
    CHECK(!ftruncate(fd, 12 * P) && !ftruncate(mem, 12 * P));
    tries(s + 8 * P), tries(q + 9 * P), tries(q + 11 * P), tries(m + 5 * P), tries(m + 9 * P), tries(m + 12 * P);
}

static void emptied(void)                                 /* by their names, which stand in memory */
{
    int fd = file("emptied", 16);
    char *q = map(16, RW, MAP_PRIVATE, fd, 0), *s = map(16, RW, MAP_SHARED, fd, 0);
    touch(q, 0, 8), touch(s, 4, 8);
    CHECK(!truncate("emptied", 6 * P));
    touch(q, 4, 2), close(open("emptied", O_RDWR | O_TRUNC));
}

static void punched(void)
{
    int fd = file("punched", 16), mem = memfd_create("punched", 0);
    CHECK(!ftruncate(mem, 16 * P));
    char *s = map(16, RW, MAP_SHARED, fd, 0), *q = map(16, RW, MAP_PRIVATE, fd, 0), *m = map(16, RW, MAP_SHARED, mem, 0);
    char *n = map(16, RW, MAP_PRIVATE, mem, 0);
    touch(s, 0, 16), touch(q, 0, 8), look(q, 8, 8), touch(m, 0, 16), touch(n, 2, 4);
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * P, 4 * P + 10);
    fallocate(mem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * P - 10, 4 * P);
    fallocate(fd, FALLOC_FL_ZERO_RANGE, 10 * P, 2 * P);
    touch(s, 3, 1), touch(m, 3, 1), look(n, 3, 1);
    fallocate(mem, 0, 10 * P, 20 * P);
    CHECK(!madvise(m + 12 * P, 2 * P, MADV_REMOVE));
    fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 12 * P, P);
    look(s, 12, 2);
}

static void sysv(void)
{
    int id = shmget(IPC_PRIVATE, 8 * P - 100, 0600 | IPC_CREAT), other = shmget(IPC_PRIVATE, 4 * P, 0600 | IPC_CREAT);
    char *a = shmat(id, 0, 0), *b = shmat(id, 0, SHM_RDONLY), *room = anon(16);
    char *c = shmat(other, room + 4 * P, SHM_REMAP);
    CHECK(a != (void *)-1 && b != (void *)-1 && c == room + 4 * P);
    touch(a, 0, 4), look(b, 0, 6), touch(c, 0, 2), touch(room, 0, 10);
    pid_t child = fork();
    if (!child) { touch(a, 4, 2); CHECK(!shmdt(b)); done(); }
    await(1);
    CHECK(!munmap(c + P, P) && !shmdt(c));                /* in two pieces: both go */
    CHECK(!shmctl(id, IPC_RMID, 0) && !shmctl(other, IPC_RMID, 0));
    CHECK(mremap(a, 8 * P, 4 * P, 0) == a);
    mortal(nothing, a);
    CHECK(!shmdt(b));
}

static void ring(char *b)
{
    struct io_uring_params how = {0};
    int fd = syscall(SYS_io_uring_setup, 4, &how);
    if (fd < 0) return;
    struct iovec v = {b, 4 * P};
    char *sq = mmap(0, how.sq_off.array + how.sq_entries * 4, RW, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
    struct io_uring_sqe *e = mmap(0, how.sq_entries * sizeof *e, RW, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
    CHECK(sq != MAP_FAILED && e != MAP_FAILED);
    CHECK(!syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &v, 1));
    *e = (struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = open("/proc/self/exe", O_RDONLY),
        .addr = (long)b + 8 * P, .len = 2 * P};
    *(unsigned *)(sq + how.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(sq + how.sq_off.tail), 1, __ATOMIC_RELEASE);
    CHECK(syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) == 1);
    twin(write_four, b);                       /* the child gets copies of pinned pages at once */
}

static void uring(void) { ring(anon(16)); }

static void direct(void)                                 /* what stands in registers, and comes without a fault */
{
    char *p = anon(32);
    int fd = file("direct", 16), at;
    CHECK(!fsync(fd));
    at = open("direct", O_RDWR | O_DIRECT);
    if (at >= 0)
        CHECK(pread(at, p, 4 * P, 0) == 4 * P && read(at, p + 6 * P, 2 * P) == 2 * P &&
              pwrite(at, p + 9 * P, 2 * P, 4 * P) == 2 * P);
    CHECK(pread(fd, p + 12 * P, 3 * P, 0) == 3 * P && read(fd, p + 16 * P, P) >= 0);
    twin(write_four, p);
}

static void waited(void)
{
    char *p = anon(8), *r = map(1, PROT_READ, ANON, -1, 0);
    syscall(SYS_futex, p, FUTEX_WAKE, 1, 0, 0, 0), syscall(SYS_futex, p + P, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    syscall(SYS_futex, p + 2 * P, FUTEX_WAIT, 1, 0, 0, 0), syscall(SYS_futex, r, FUTEX_WAKE, 1, 0, 0, 0);
    syscall(SYS_futex, p + 3 * P, FUTEX_WAKE_OP, 1, 1, p + 4 * P, 1 << 12);
    syscall(SYS_futex, p + 6 * P + 1, FUTEX_WAKE, 1, 0, 0, 0);
    twin(nothing, p);
}

static void vectors(void)                                /* ranges that stand in memory */
{
    char *p = anon(64), *b = full(8);
    int fd = file("vectors", 16), pipes[2], null = open("/dev/null", O_WRONLY), at;
    CHECK(!fsync(fd) && !pipe(pipes));
    struct iovec from = {b, 4 * P}, to = {p, 4 * P}, two[2] = {{p + 20 * P, 2 * P}, {p + 24 * P, P}};
    CHECK(process_vm_writev(getpid(), &from, 1, &to, 1, 0) == 4 * P);
    to.iov_base = p + 6 * P;
    CHECK(process_vm_readv(getpid(), &from, 1, &to, 1, 0) == 4 * P);
    at = open("vectors", O_RDWR | O_DIRECT);
    if (at >= 0) CHECK(preadv(at, two, 2, 0) == 3 * P);
    from.iov_base = p + 30 * P;
    CHECK(vmsplice(pipes[1], &from, 1, 0) == 4 * P && splice(pipes[0], 0, null, 0, 4 * P, 0) == 4 * P);
    touch(p, 30, 2);
    CHECK(vmsplice(pipes[1], &from, 1, SPLICE_F_GIFT) == 4 * P);
    mortal(nothing, p);
    int mem = open("/proc/self/mem", O_RDWR);
    char *r = map(2, PROT_READ, ANON, -1, 0);
    CHECK(pwrite(mem, "x", 1, (long)p + 46 * P) == 1 && pwrite(mem, "x", 1, (long)r) == 1);
    CHECK(readv(open("/dev/zero", O_RDONLY), two, 2) == 3 * P);
}

static void objects(void)
{
    int zero = open("/dev/zero", O_RDWR), mem = memfd_create("objects", 0), fd = file("objects", 12);
    char *a = map(4, RW, MAP_PRIVATE, zero, 0), *b = map(4, RW, MAP_SHARED, zero, 0),
        *c = map(4, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    touch(a, 0, 2), look(a, 2, 1), touch(b, 0, 3), touch(c, 1, 2), look(c, 0, 1);
    CHECK(!ftruncate(mem, 16 * P));
    char *m = map(8, RW, MAP_SHARED, mem, 2), *n = map(8, RW, MAP_PRIVATE, mem, 4), *x = map(8, RW, MAP_PRIVATE, fd, 8);
    touch(m, 0, 4), look(n, 0, 4), touch(n, 1, 2), look(x, 1, 1);
    char page[P];
    memset(page, 2, P);
    for (int i = 12; i < 15; i++) CHECK(pwrite(fd, page, P, i * P) == P);
    look(x, 4, 2), touch(x, 5, 1);
    char *y = map(3, PROT_READ, MAP_SHARED, fd, 0), *z = map(3, RW, MAP_SHARED, fd, 3), *w = map(3, RW, MAP_SHARED, fd, 1);
    look(y, 0, 3), touch(z, 0, 2), look(w, 0, 1), touch(w, 0, 2);
    CHECK(!syscall(SYS_remap_file_pages, m, 2 * P, 0, 6, 0));
    touch(m, 0, 2), touch(m, 2, 1);
    char *d = mmap(0, 4 * P, RW, MAP_ANONYMOUS | 8, -1, 0);
    if (d != MAP_FAILED) touch(d, 0, 2);
    CHECK(mmap(0, P, RW, MAP_PRIVATE, open(".", O_RDONLY), 0) == MAP_FAILED);
    twin(write_four, a), twin(write_four, n), twin(write_four, c);
}

static void secret(void)
{
    int fd = syscall(SYS_memfd_secret, 0);
    if (fd < 0 || ftruncate(fd, 2 * P)) return;
    char *p = mmap(0, 2 * P, RW, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) return;
    touch(p, 0, 1);
    twin(write_four, anon(4));
}

static void populated(void)
{
    int fd = file("populated", 16);
    map(4, RW, ANON | MAP_POPULATE, -1, 0), map(4, PROT_READ, ANON | MAP_POPULATE, -1, 0),
        map(4, PROT_NONE, ANON | MAP_POPULATE, -1, 0);
    char *a = map(16, RW, MAP_PRIVATE | MAP_POPULATE, fd, 0), *b = map(16, RW, MAP_SHARED | MAP_POPULATE, fd, 0);
    touch(a, 2, 1), touch(b, 2, 1);
    map(8, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0), map(8, RW, MAP_PRIVATE | MAP_POPULATE | MAP_NONBLOCK, fd, 8);
    map(6, RW, MAP_SHARED | MAP_POPULATE, fd, 12);                           /* beyond the end */
    char *p = anon(16), *q = map(8, RW, MAP_PRIVATE, fd, 0), *h = holed(8, 4);
    CHECK(!madvise(p, 4 * P, MADV_POPULATE_READ) && !madvise(p + 2 * P, 4 * P, MADV_POPULATE_WRITE));
    CHECK(!madvise(q, 4 * P, MADV_POPULATE_READ) && !madvise(q + 2 * P, 4 * P, MADV_POPULATE_WRITE));
    CHECK(!munmap(h, P) && madvise(h + P, 7 * P, MADV_POPULATE_WRITE) < 0);
    CHECK(!mprotect(p + 8 * P, P, PROT_READ) && madvise(p + 6 * P, 4 * P, MADV_POPULATE_WRITE) < 0);
    twin(write_four, p);
    CHECK(!madvise(p, 4 * P, MADV_POPULATE_WRITE) && !madvise(p + 10 * P, 2 * P, MADV_POPULATE_READ));
}

static void texts(void)
{
    const char *tasks[] = {"a\nb", "x: y", "1/2 3.4:", "exec: z:5/5", "\xff\xfe", "\t", "", "]: rw-p y", "# end of state"};
    const char *files[] = {"a\nb", "x]: rw-p y", "\xff\xfe", "[anon]", "c (deleted)", "\t", " ", "[stack]", "#area"};
    for (int i = 0; i < 9; i++) {
        prctl(PR_SET_NAME, tasks[i]);
        int fd = file(files[i], 2);
        char *p = map(2, RW, i & 1 ? MAP_SHARED : MAP_PRIVATE, fd, 0);
        touch(p, 0, 1);
        if (i == 4) unlink(files[i]);
        if (i == 5) CHECK(!rename(files[i], "renamed\n"));
        twin(write_four, anon(4));
        close(memfd_create(tasks[i], 0));
    }
}
