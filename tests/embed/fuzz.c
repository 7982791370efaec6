/* Random calls of the C interface with junk in every argument. Arrays end at a page that must not be touched, so that what
   writes one element too many ends the program, with or without a sanitizer.

   run(specification, seed, calls, every): {code: how often}; RuntimeError where check() fails or a call breaks its promise. */
#include "rmapcore.h"

#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u
#define ROOM (16 * PAGE)
#define ARRAYS 6
#define MOST_PROCESSES 10

static uint64_t state;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? (state * 0x2545F4914F6CDD1Dull >> 11) % below : state;
}

static char *arrays[ARRAYS];       /* begin of the room; a page without access lies at either end */

static int make_arrays(void)
{
    for (int i = 0; i < ARRAYS; i++) {
        char *all = mmap(NULL, ROOM + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED || mprotect(all, PAGE, PROT_NONE) || mprotect(all + PAGE + ROOM, PAGE, PROT_NONE))
            return -1;
        arrays[i] = all + PAGE;
    }
    return 0;
}

/* Room for so many bytes, ending where it must; NULL now and then. */
static void *room(int which, size_t bytes)
{
    return draw(20) ? arrays[which] + ROOM - bytes : NULL;
}

static uint64_t base;              /* of a heap that is often hit */

static uint64_t number(void)
{
    static const uint64_t odd[] = {0, 1, 4095, 4096, 1ull << 31, 1ull << 32, (1ull << 47) - 4096, 1ull << 47, 1ull << 63,
                                   UINT64_MAX, UINT64_MAX - 4095};
    return draw(4) ? draw(1 << 16) * PAGE : odd[draw(sizeof odd / sizeof *odd)];
}

static uint64_t address(void) { return draw(8) ? base + draw(256) * PAGE + (draw(4) ? 0 : draw(PAGE)) : number(); }
static uint64_t length(void) { return draw(8) ? draw(24) * PAGE : number(); }

static uint32_t processes[MOST_PROCESSES];
static int n_processes;

static uint32_t process(void)
{
    return n_processes && draw(12) ? processes[draw((uint64_t)n_processes)] : (uint32_t)draw(4) ? (uint32_t)draw(64)
                                                                                                  : (uint32_t)draw(0);
}

static int64_t life(rmapcore_machine m, uint64_t which)
{
    int64_t answer;
    if (which < 2) {
        if (n_processes == MOST_PROCESSES)
            return rmapcore_exit(m, processes[--n_processes]);
        answer = which || !n_processes ? rmapcore_spawn(m) : rmapcore_fork(m, process());
        if (answer > 0)
            processes[n_processes++] = (uint32_t)answer;
        return answer;
    }
    if (which == 2 || n_processes < 3)
        return rmapcore_execve(m, process());
    return rmapcore_exit(m, draw(8) ? processes[--n_processes] : (uint32_t)draw(0));
}

static int64_t areas(rmapcore_machine m, uint64_t which)
{
    static const uint32_t flags[] = {0x32, 0x32, 0x32, 0x22, 0x31, 0x12, 0x11, 0x8032, 0x2032, 0x132, 0x100032, 0, 0xFFFFFFFF};
    switch (which) {
    case 0: return rmapcore_mmap(m, process(), address() & ~(uint64_t)(draw(8) ? PAGE - 1 : 0), length(), (uint32_t)draw(9),
                                 flags[draw(sizeof flags / sizeof *flags)], (uint32_t)draw(6), draw(8) * PAGE);
    case 1: return rmapcore_munmap(m, process(), address(), length());
    case 2: return rmapcore_mprotect(m, process(), address(), length(), (uint32_t)draw(draw(8) ? 8 : 0));
    case 3: return rmapcore_mremap(m, process(), address(), length(), length(), (uint32_t)draw(9), address());
    case 4: return rmapcore_madvise(m, process(), address(), length(), (uint32_t)draw(draw(4) ? 26 : 200));
    case 5: return rmapcore_brk(m, process(), draw(2) ? 0 : number());
    default: return rmapcore_truncate(m, (uint32_t)draw(6), draw(2) ? draw(16) * PAGE : number());
    }
}

static int64_t batch(rmapcore_machine m)
{
    const size_t n = (size_t)draw(100);
    uint32_t *who = room(0, n * sizeof *who);
    uint64_t *where = room(1, n * sizeof *where);
    uint8_t *writes = room(2, n);
    int status = 1;
    int64_t done;
    for (size_t i = 0; i < n && who && where; i++) {
        who[i] = process();
        where[i] = address();
        if (writes)
            writes[i] = (uint8_t)draw(3);
    }
    if (draw(3) == 0)
        return rmapcore_translate_many(m, process(), n, where, (int)draw(2), room(3, n * sizeof(int64_t)));
    done = rmapcore_touch_many(m, n, who, where, writes, room(3, n * sizeof(uint64_t)), room(4, n * sizeof(uint16_t)), &status);
    if (done >= 0 && (done < (int64_t)n) != (status != 0))
        return INT64_MIN;              /* it has not said why it ended */
    return done < 0 ? done : status;
}

static int64_t looks(rmapcore_machine m, uint64_t which)
{
    const size_t n = (size_t)draw(100);
    switch (which) {
    case 0: return rmapcore_walk(m, process(), address(), room(1, n * 8), (int)n - (draw(20) == 0 ? 200 : 0));
    case 1: return rmapcore_whomaps(m, (uint32_t)draw(draw(8) ? 64 : 0), (int)draw(2), n < 90 ? n / 16 : n, room(0, n * 4), room(1, n * 8));
    case 2: {
        uint32_t *frames = room(0, n * 4);
        const size_t most = (size_t)draw(200);
        for (size_t i = 0; i < n && frames; i++)
            frames[i] = (uint32_t)draw(draw(200) ? 64 : 0);
        return rmapcore_whomaps_many(m, n, frames, room(1, (n + 1) * 8), most, room(2, most * 4), room(3, most * 8));
    }
    case 3: return rmapcore_gone_take(m, n, room(3, n * sizeof(rmapcore_gone)));
    case 4: return rmapcore_fact(m, (int)draw(12));
    default: return rmapcore_counters(m, (int)n - 10, room(1, n > 10 ? (n - 10) * 8 : 0));
    }
}

static int64_t one(rmapcore_machine m)
{
    const uint64_t kind = draw(100);
    uint64_t physical = 0;
    if (kind < 3) return life(m, draw(4));
    if (kind < 25) return areas(m, draw(7));
    if (kind < 65) return rmapcore_touch(m, process(), address(), (int)draw(2), draw(4) ? &physical : NULL);
    if (kind < 75) return rmapcore_translate(m, process(), address(), (int)draw(2));
    if (kind < 88) return batch(m);
    if (kind < 98) return looks(m, draw(6));
    if (kind < 99) return rmapcore_reclaim(m, draw(4) ? draw(40) : number());
    if (draw(2)) return rmapcore_hold(m);
    return rmapcore_release(m);
}

/* Of the sanitizer build (tests/sanitizer/fence.c): check() reads records that were given back. */
extern void rmapcore_fence_open_given(int open) __attribute__((weak));

static int checked(rmapcore_machine m)
{
    int answer;
    if (rmapcore_fence_open_given)
        rmapcore_fence_open_given(1);
    answer = rmapcore_check(m);
    if (rmapcore_fence_open_given)
        rmapcore_fence_open_given(0);
    return answer;
}

static PyObject *run(PyObject *self, PyObject *arguments)
{
    const char *specification;
    unsigned long long seed, calls, every, i;
    rmapcore_machine m, stale;
    PyObject *counts = PyDict_New();
    (void)self;
    if (!counts || !PyArg_ParseTuple(arguments, "sKKK", &specification, &seed, &calls, &every))
        return NULL;
    state = seed * 0x9E3779B97F4A7C15ull + 1;
    n_processes = 0;
    base = 1ull << 31;
    if (make_arrays() || rmapcore_open(specification, &stale) || rmapcore_close(stale) || rmapcore_open(specification, &m)
        || rmapcore_file(m, "disk", 12 * PAGE, RMAPCORE_DISK) < 0 || rmapcore_file(m, "shmem", 12 * PAGE, RMAPCORE_SHMEM) < 0)
        return PyErr_Format(PyExc_RuntimeError, "%s", rmapcore_message());
    for (i = 0; i < calls; i++) {
        const int junk = draw(16) == 0;
        const rmapcore_machine other = draw(2) ? stale : draw(2) ? draw(0) : m ^ (1ull << draw(64));
        const int64_t answer = one(junk ? other : m);
        const long code = answer < 0 ? (long)answer : 0;
        PyObject *key = PyLong_FromLong(code), *count = PyDict_GetItem(counts, key);
        count = PyLong_FromLong(1 + (count ? PyLong_AsLong(count) : 0));
        PyDict_SetItem(counts, key, count);
        Py_DECREF(key);
        Py_DECREF(count);
        if (answer == INT64_MIN || (junk && answer != RMAPCORE_BAD_HANDLE) || (answer < 0 && rmapcore_message()[0] == 0))
            return PyErr_Format(PyExc_RuntimeError, "call %llu answers %lld: %s", i, (long long)answer, rmapcore_message());
        if (i % every == every - 1 && checked(m))
            return PyErr_Format(PyExc_RuntimeError, "after call %llu: %s", i, rmapcore_message());
    }
    while (rmapcore_release(m) == 0)
        ;
    if (checked(m) || rmapcore_close(m))
        return PyErr_Format(PyExc_RuntimeError, "at the end: %s", rmapcore_message());
    return counts;
}

static PyMethodDef methods[] = {{"run", run, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fuzz", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_fuzz(void) { return rmapcore_import() < 0 ? NULL : PyModule_Create(&module); }
