/* A client in C for the tests of tests/embed: the C interface as functions of Python, without anything in between.

   call(name, ...): the function's numbers in, its number out. Arrays are the caller's buffers (bytearray, numpy). */
#include "rmapcore.h"

#include <pthread.h>
#include <string.h>

#define MOST 8

static void *data_of(PyObject *object, Py_buffer *view)
{
    if (object == Py_None || PyObject_GetBuffer(object, view, PyBUF_SIMPLE) < 0) {
        view->obj = NULL;
        return NULL;
    }
    return view->buf;
}

static int64_t run(const char *name, const uint64_t *n, void **p)
{
    const rmapcore_machine m = n[0];
    const uint32_t process = (uint32_t)n[1];
#define IS(other) (strcmp(name, other) == 0)
    if (IS("close")) return rmapcore_close(m);
    if (IS("hold")) return rmapcore_hold(m);
    if (IS("release")) return rmapcore_release(m);
    if (IS("spawn")) return rmapcore_spawn(m);
    if (IS("fork")) return rmapcore_fork(m, process);
    if (IS("execve")) return rmapcore_execve(m, process);
    if (IS("exit")) return rmapcore_exit(m, process);
    if (IS("mmap")) return rmapcore_mmap(m, process, n[2], n[3], (uint32_t)n[4], (uint32_t)n[5], (uint32_t)n[6], n[7]);
    if (IS("munmap")) return rmapcore_munmap(m, process, n[2], n[3]);
    if (IS("mprotect")) return rmapcore_mprotect(m, process, n[2], n[3], (uint32_t)n[4]);
    if (IS("mremap")) return rmapcore_mremap(m, process, n[2], n[3], n[4], (uint32_t)n[5], n[6]);
    if (IS("madvise")) return rmapcore_madvise(m, process, n[2], n[3], (uint32_t)n[4]);
    if (IS("brk")) return rmapcore_brk(m, process, n[2]);
    if (IS("truncate")) return rmapcore_truncate(m, (uint32_t)n[1], n[2]);
    if (IS("translate")) return rmapcore_translate(m, process, n[2], (int)n[3]);
    if (IS("translate_many")) return rmapcore_translate_many(m, process, n[2], p[0], (int)n[3], p[1]);
    if (IS("touch")) return rmapcore_touch(m, process, n[2], (int)n[3], p[0]);
    if (IS("touch_many")) return rmapcore_touch_many(m, n[1], p[0], p[1], p[2], p[3], p[4], p[5]);
    if (IS("walk")) return rmapcore_walk(m, process, n[2], p[0], (int)n[3]);
    if (IS("whomaps")) return rmapcore_whomaps(m, (uint32_t)n[1], (int)n[2], n[3], p[0], p[1]);
    if (IS("whomaps_many")) return rmapcore_whomaps_many(m, n[1], p[0], p[1], n[2], p[2], p[3]);
    if (IS("reclaim")) return rmapcore_reclaim(m, n[1]);
    if (IS("watch")) return rmapcore_watch(m, n[1]);
    if (IS("gone")) return rmapcore_gone_take(m, n[1], p[0]);
    if (IS("fact")) return rmapcore_fact(m, (int)n[1]);
    if (IS("counters")) return rmapcore_counters(m, (int)n[1], p[0]);
    if (IS("memory")) return rmapcore_memory(m, n[1], p[0]);
    if (IS("check")) return rmapcore_check(m);
    return INT64_MIN;
}

static void take_arguments(PyObject *arguments, uint64_t *n, void **p, Py_buffer *views, int *n_views)
{
    int numbers = 0;
    *n_views = 0;
    for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(arguments) && i <= MOST; i++) {
        PyObject *argument = PyTuple_GET_ITEM(arguments, i);
        if (PyLong_Check(argument))
            n[numbers++] = PyLong_AsUnsignedLongLongMask(argument);
        else {
            p[*n_views] = data_of(argument, &views[*n_views]);
            ++*n_views;
        }
    }
}

/* call(name, numbers and buffers...): numbers and buffers each in their order. The GIL is given up meanwhile. */
static PyObject *call(PyObject *self, PyObject *arguments)
{
    uint64_t n[MOST] = {0};
    void *p[MOST] = {NULL};
    Py_buffer views[MOST];
    int n_views, i;
    int64_t answer;
    const char *name = PyUnicode_AsUTF8(PyTuple_GetItem(arguments, 0));
    (void)self;
    if (name == NULL)
        return NULL;
    take_arguments(arguments, n, p, views, &n_views);
    Py_BEGIN_ALLOW_THREADS
    answer = run(name, n, p);
    Py_END_ALLOW_THREADS
    for (i = 0; i < n_views; i++)
        if (views[i].obj)
            PyBuffer_Release(&views[i]);
    PyErr_Clear();
    return answer == INT64_MIN ? PyErr_Format(PyExc_NameError, "%s", name) : PyLong_FromLongLong(answer);
}

struct errand { uint64_t m; int64_t answer; };

static void *look(void *told)
{
    struct errand *errand = told;
    errand->answer = rmapcore_translate(errand->m, 1, 0, 0);
    return NULL;
}

/* What a thread that Python has never seen gets from translate. */
static PyObject *elsewhere(PyObject *self, PyObject *m)
{
    struct errand errand = {PyLong_AsUnsignedLongLongMask(m), 0};
    pthread_t thread;
    (void)self;
    if (pthread_create(&thread, NULL, look, &errand))
        return PyErr_SetFromErrno(PyExc_OSError);
    pthread_join(thread, NULL);
    return PyLong_FromLongLong(errand.answer);
}

static PyObject *open_by(PyObject *self, PyObject *arguments)
{
    const char *how, *text;
    rmapcore_machine m = 0;
    int code;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "sz", &how, &text))
        return NULL;
    code = strcmp(how, "load") == 0 ? rmapcore_load(text, &m) : rmapcore_open(text, &m);
    return Py_BuildValue("iK", code, (unsigned long long)m);
}

static PyObject *adopt(PyObject *self, PyObject *machine)
{
    rmapcore_machine m = 0;
    int code = rmapcore_adopt(machine, &m);
    (void)self;
    return Py_BuildValue("iK", code, (unsigned long long)m);
}

static PyObject *object_of(PyObject *self, PyObject *m)
{
    (void)self;
    return rmapcore_object(PyLong_AsUnsignedLongLongMask(m));
}

static PyObject *file(PyObject *self, PyObject *arguments)
{
    unsigned long long m, size;
    const char *name;
    unsigned int kind;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "KzKI", &m, &name, &size, &kind))
        return NULL;
    return PyLong_FromLongLong(rmapcore_file(m, name, size, kind));
}

static PyObject *save(PyObject *self, PyObject *arguments)
{
    unsigned long long m;
    const char *path;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "Kz", &m, &path))
        return NULL;
    return PyLong_FromLong(rmapcore_save(m, path));
}

static PyObject *message(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    return PyUnicode_FromString(rmapcore_message());
}

static PyObject *counter_name(PyObject *self, PyObject *number)
{
    const char *name = rmapcore_counter_name((int)PyLong_AsLong(number));
    (void)self;
    return name ? PyUnicode_FromString(name) : Py_NewRef(Py_None);
}

static PyMethodDef methods[] = {
    {"call", call, METH_VARARGS, NULL}, {"elsewhere", elsewhere, METH_O, NULL}, {"open", open_by, METH_VARARGS, NULL},
    {"adopt", adopt, METH_O, NULL}, {"object", object_of, METH_O, NULL}, {"file", file, METH_VARARGS, NULL},
    {"save", save, METH_VARARGS, NULL}, {"message", message, METH_NOARGS, NULL},
    {"counter_name", counter_name, METH_O, NULL}, {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "client", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_client(void)
{
    PyObject *made;
    if (rmapcore_import() < 0)
        return NULL;
    made = PyModule_Create(&module);
    if (made)
        PyModule_AddIntConstant(made, "VERSION", RMAPCORE_VERSION);
    return made;
}
