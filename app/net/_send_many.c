/*
 * send_many(descriptors, buffers, may_share): one non-blocking send to each of many sockets, without the GIL (bulk_send.py).
 *
 * Python calls send for one socket at a time, and holds and releases the GIL around each. Here a round of the flusher is
 * one call, and with may_share a helper thread sends to some of the sockets on another core. docs/architecture.md,
 * "The way out", has the figures. Without this extension the flusher calls socket.send for each socket.
 *
 * No descriptor can be closed, and reused for another connection, during a call: connections are closed by greenlets of
 * the thread that calls, which does not run any other greenlet before send_many returns, and the helper thread touches no
 * descriptor after that. The buffers stay alive because send_many holds a tuple of them.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SHARE = 8,        /* sockets that a thread takes at a time */
    STACK_SIZE = 64 * 1024
};

typedef struct {
    int descriptor;
    const char *data;
    Py_ssize_t size;
    Py_ssize_t sent; /* bytes, or a negative errno */
} Job;

/* The jobs of one call, and the thread that helps with them. Only one call at a time has the helper. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t offered, finished;
    pid_t process; /* that has the thread: a forked process has none */
    int in_use, is_offered, is_working;
    Job *jobs;
    Py_ssize_t count;
    atomic_long next;
} helper = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0, NULL, 0, 0};

static void send_one(Job *job)
{
    ssize_t sent;

    do
        sent = send(job->descriptor, job->data, (size_t)job->size, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    job->sent = sent < 0 ? -errno : sent;
}

/* Take and do jobs until none is left. Runs in both threads. */
static void send_shares(Job *jobs, long count)
{
    for (;;) {
        long first = atomic_fetch_add(&helper.next, SHARE);

        for (long job = first; job < first + SHARE; job++) {
            if (job >= count)
                return;
            send_one(&jobs[job]);
        }
    }
}

static void *help(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&helper.lock);
    for (;;) {
        while (!helper.is_offered)
            pthread_cond_wait(&helper.offered, &helper.lock);
        helper.is_offered = 0;
        helper.is_working = 1;
        pthread_mutex_unlock(&helper.lock);
        send_shares(helper.jobs, helper.count);
        pthread_mutex_lock(&helper.lock);
        helper.is_working = 0;
        pthread_cond_signal(&helper.finished);
    }
    return NULL;
}

static int has_another_core(void)
{
    cpu_set_t cores;

    return sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) > 1;
}

/* Start the thread of this process, with all signals blocked: Python handles them in its main thread. */
static int start_helper(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int failed;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, &attributes, help, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!failed)
        helper.process = getpid();
    return !failed;
}

/* Have the helper for one call. Runs with the GIL, so that no two threads are here at once. */
static int take_helper(Job *jobs, Py_ssize_t count)
{
    if (!has_another_core())
        return 0;
    if (helper.process != getpid()) {
        pthread_mutex_init(&helper.lock, NULL);
        pthread_cond_init(&helper.offered, NULL);
        pthread_cond_init(&helper.finished, NULL);
        helper.in_use = helper.is_offered = helper.is_working = 0;
        if (!start_helper())
            return 0;
    }
    if (helper.in_use)
        return 0;
    helper.in_use = 1;
    helper.jobs = jobs;
    helper.count = count;
    atomic_store(&helper.next, 0);
    return 1;
}

/* Send all jobs together with the helper, and return when it does nothing any more. */
static void send_shared(Job *jobs, Py_ssize_t count)
{
    pthread_mutex_lock(&helper.lock);
    helper.is_offered = 1;
    pthread_cond_signal(&helper.offered);
    pthread_mutex_unlock(&helper.lock);
    send_shares(jobs, count);
    pthread_mutex_lock(&helper.lock);
    helper.is_offered = 0; /* it may not have woken in time */
    while (helper.is_working)
        pthread_cond_wait(&helper.finished, &helper.lock);
    pthread_mutex_unlock(&helper.lock);
}

/* Read the list of descriptors and the tuple of buffers. Returns 0 with an exception if one has the wrong type. */
static int read_jobs(Job *jobs, PyObject *descriptors, PyObject *buffers, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *buffer = PyTuple_GET_ITEM(buffers, i);
        long descriptor = PyLong_AsLong(PyList_GET_ITEM(descriptors, i));

        if (descriptor == -1 && PyErr_Occurred())
            return 0;
        if (descriptor < 0 || descriptor > INT_MAX) {
            PyErr_Format(PyExc_ValueError, "no descriptor: %ld", descriptor);
            return 0;
        }
        if (!PyBytes_CheckExact(buffer)) {
            PyErr_Format(PyExc_TypeError, "buffers must be bytes, not %.100s", Py_TYPE(buffer)->tp_name);
            return 0;
        }
        jobs[i] = (Job){(int)descriptor, PyBytes_AS_STRING(buffer), PyBytes_GET_SIZE(buffer), 0};
    }
    return 1;
}

static PyObject *results_of(const Job *jobs, Py_ssize_t count)
{
    PyObject *results = PyList_New(count);

    for (Py_ssize_t i = 0; results != NULL && i < count; i++) {
        PyObject *sent = PyLong_FromSsize_t(jobs[i].sent);

        if (sent == NULL)
            Py_CLEAR(results);
        else
            PyList_SET_ITEM(results, i, sent);
    }
    return results;
}

static void send_all(Job *jobs, Py_ssize_t count, int may_share)
{
    int is_shared = may_share && take_helper(jobs, count);

    Py_BEGIN_ALLOW_THREADS
    if (is_shared)
        send_shared(jobs, count);
    else
        for (Py_ssize_t i = 0; i < count; i++)
            send_one(&jobs[i]);
    Py_END_ALLOW_THREADS
    if (is_shared)
        helper.in_use = 0;
}

static PyObject *send_many(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    PyObject *buffers, *results = NULL;
    Py_ssize_t count;
    Job *jobs;

    (void)module;
    if (given != 3 || !PyBool_Check(arguments[2]) || !PyList_CheckExact(arguments[0]) || !PyList_CheckExact(arguments[1]) ||
        PyList_GET_SIZE(arguments[0]) != PyList_GET_SIZE(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "send_many takes two lists of the same length and a bool");
        return NULL;
    }
    buffers = PyList_AsTuple(arguments[1]);
    if (buffers == NULL)
        return NULL;
    count = PyTuple_GET_SIZE(buffers);
    jobs = PyMem_Calloc((size_t)count + 1, sizeof *jobs);
    if (jobs == NULL)
        PyErr_NoMemory();
    else if (read_jobs(jobs, arguments[0], buffers, count)) {
        send_all(jobs, count, arguments[2] == Py_True);
        results = results_of(jobs, count);
    }
    PyMem_Free(jobs);
    Py_DECREF(buffers);
    return results;
}

static PyMethodDef methods[] = {
    {"send_many", (PyCFunction)(void (*)(void))send_many, METH_FASTCALL,
     "send_many(descriptors, buffers, may_share)\n--\n\n"
     "Send each of the buffers to the descriptor at the same place, without waiting.\n\n"
     "With may_share, a helper thread takes a part of many. Returns for each the number of bytes that were sent, or a negative errno."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_send_many",
                                        "Sending to many sockets with one call (bulk_send.py).", -1, methods,
                                        NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__send_many(void)
{
    return PyModule_Create(&definition);
}
