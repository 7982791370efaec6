/* A client in C for benchmarks: each function does one thing of the C interface many times. Built by embed_client.py.

   Arrays come as buffers of uint64; what a function gives back is how many of its calls succeeded. */
#include "rmapcore.h"

typedef struct { Py_buffer view; } array;

static int take(PyObject *object, array *a) { return PyObject_GetBuffer(object, &a->view, PyBUF_SIMPLE); }
#define DATA(a, type) ((type *)(a).view.buf)
#define COUNT(a, type) ((size_t)(a).view.len / sizeof(type))

static PyObject *failed(void)
{
    PyErr_SetString(PyExc_RuntimeError, rmapcore_message());
    return NULL;
}

static PyObject *adopt(PyObject *self, PyObject *machine)
{
    rmapcore_machine m;
    (void)self;
    return rmapcore_adopt(machine, &m) < 0 ? failed() : PyLong_FromUnsignedLongLong(m);
}

static PyObject *hold(PyObject *self, PyObject *m)
{
    (void)self;
    return rmapcore_hold(PyLong_AsUnsignedLongLong(m)) < 0 ? failed() : Py_NewRef(Py_None);
}

static PyObject *release(PyObject *self, PyObject *m)
{
    (void)self;
    return rmapcore_release(PyLong_AsUnsignedLongLong(m)) < 0 ? failed() : Py_NewRef(Py_None);
}

/* (handle, records) */
static PyObject *watch(PyObject *self, PyObject *arguments)
{
    unsigned long long m, records;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "KK", &m, &records))
        return NULL;
    return rmapcore_watch(m, records) < 0 ? failed() : Py_NewRef(Py_None);
}

static PyObject *close_(PyObject *self, PyObject *m)
{
    (void)self;
    return rmapcore_close(PyLong_AsUnsignedLongLong(m)) < 0 ? failed() : Py_NewRef(Py_None);
}

/* (handle, pid, addresses) for all that follow, unless it says otherwise. */
#define ARGUMENTS \
    unsigned long long m; unsigned int pid; PyObject *object; array a; (void)self; \
    if (!PyArg_ParseTuple(arguments, "KIO", &m, &pid, &object) || take(object, &a) < 0) return NULL; \
    const uint64_t *addresses = DATA(a, uint64_t); const size_t n = COUNT(a, uint64_t);
#define ANSWER(value) do { const unsigned long long answer_ = (value); PyBuffer_Release(&a.view); \
    return PyLong_FromUnsignedLongLong(answer_); } while (0)

static PyObject *translate(PyObject *self, PyObject *arguments)
{
    ARGUMENTS
    uint64_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += rmapcore_translate(m, pid, addresses[i], 0) >= 0;
    ANSWER(found);
}

static PyObject *translate_many(PyObject *self, PyObject *arguments)
{
    static int64_t physical[4096];
    ARGUMENTS
    uint64_t found = 0;
    for (size_t i = 0; i < n; i += 4096)
        found += (uint64_t)rmapcore_translate_many(m, pid, n - i < 4096 ? n - i : 4096, addresses + i, 0, physical);
    ANSWER(found);
}

static PyObject *touch(PyObject *self, PyObject *arguments)
{
    ARGUMENTS
    uint64_t done = 0, physical = 0;
    for (size_t i = 0; i < n; i++)
        done += rmapcore_touch(m, pid, addresses[i], 1, &physical) >= 0 && physical;
    ANSWER(done);
}

static PyObject *touch_many(PyObject *self, PyObject *arguments)
{
    enum { PART = 4096 };
    static uint32_t processes[PART];
    static uint8_t writes[PART];
    static uint64_t physical[PART];
    static uint16_t kinds[PART];
    ARGUMENTS
    uint64_t done = 0;
    for (size_t i = 0; i < PART; i++) {
        processes[i] = pid;
        writes[i] = 1;
    }
    for (size_t i = 0; i < n; i += PART)
        done += (uint64_t)rmapcore_touch_many(m, n - i < PART ? n - i : PART, processes, addresses + i, writes, physical, kinds,
                                              NULL);
    ANSWER(done);
}

/* The ring, emptied; the addresses do not matter. */
static PyObject *drain(PyObject *self, PyObject *arguments)
{
    static rmapcore_gone records[4096];
    ARGUMENTS
    uint64_t taken = 0;
    int64_t now;
    (void)addresses;
    (void)pid;
    (void)n;
    while ((now = rmapcore_gone_take(m, 4096, records)) > 0)
        taken += (uint64_t)now;
    ANSWER(taken);
}

/* (handle, 0, frames as uint64) */
static PyObject *whomaps(PyObject *self, PyObject *arguments)
{
    ARGUMENTS
    uint64_t found = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t process[64];
        uint64_t address[64];
        found += (uint64_t)rmapcore_whomaps(m, (uint32_t)addresses[i], RMAPCORE_COUNTED, 64, process, address);
    }
    (void)pid;
    ANSWER(found);
}

static PyObject *whomaps_many(PyObject *self, PyObject *arguments)
{
    enum { PART = 1024 };
    static uint32_t frames[PART], processes[64 * PART];
    static uint64_t places[64 * PART];
    static int64_t offsets[PART + 1];
    ARGUMENTS
    uint64_t found = 0;
    for (size_t i = 0; i < n; i += PART) {
        const size_t part = n - i < PART ? n - i : PART;
        for (size_t j = 0; j < part; j++)
            frames[j] = (uint32_t)addresses[i + j];
        found += (uint64_t)rmapcore_whomaps_many(m, part, frames, offsets, 64 * PART, processes, places);
    }
    (void)pid;
    ANSWER(found);
}

static PyMethodDef methods[] = {
    {"adopt", adopt, METH_O, NULL}, {"close", close_, METH_O, NULL}, {"hold", hold, METH_O, NULL},
    {"release", release, METH_O, NULL}, {"watch", watch, METH_VARARGS, NULL}, {"translate", translate, METH_VARARGS, NULL},
    {"translate_many", translate_many, METH_VARARGS, NULL}, {"touch", touch, METH_VARARGS, NULL},
    {"touch_many", touch_many, METH_VARARGS, NULL}, {"drain", drain, METH_VARARGS, NULL},
    {"whomaps", whomaps, METH_VARARGS, NULL}, {"whomaps_many", whomaps_many, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "embed_client", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_embed_client(void)
{
    return rmapcore_import() < 0 ? NULL : PyModule_Create(&module);
}
