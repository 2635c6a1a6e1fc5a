/*
 * queue_frame(outboxes, frame, waiting): queue a frame in each of many outboxes (outbox.py), with one call.
 * send_waiting(outboxes, may_share): send what waits in each of many outboxes, with one call.
 *
 * Python would join the frames, call send, and count and remove what was sent for one outbox at a time, and hold and release
 * the GIL around each. Here 128 outboxes of a round of the flusher are one call. docs/architecture.md, "The way out", has the
 * figures. Without this module, queueing.py and round_writer.py do the same for each outbox.
 *
 * The attributes of an outbox are slots of its class, so they are read and written in place. Everything unusual is left to
 * Python: the outboxes of which not everything was sent are returned.
 */

#include "_send_jobs.h"

#include <limits.h>
#include <structmember.h>

/* Bytes that a call joins at most, and those of one more outbox: the joined frames of all exist at the same time. */
enum { MAX_JOINED = 1 << 24 };

/* Objects that every call needs. */
static PyObject *no_bytes, *zero, *join_name, *overflow_name, *frames_sent_name, *bytes_sent_name;

/* Where the attributes lie in the outboxes of a class. */
typedef struct {
    PyTypeObject *type;
    Py_ssize_t counts, fileno, frames, limit, size;
} Layout;

static int find_slot(PyTypeObject *type, const char *name, Py_ssize_t *place)
{
    PyObject *slot = PyObject_GetAttrString((PyObject *)type, name);
    int is_slot;

    if (slot == NULL)
        return 0;
    is_slot = Py_IS_TYPE(slot, &PyMemberDescr_Type) && PyType_IsSubtype(type, PyDescr_TYPE(slot)) &&
              ((PyMemberDescrObject *)slot)->d_member->type == T_OBJECT_EX;
    if (is_slot)
        *place = ((PyMemberDescrObject *)slot)->d_member->offset;
    else
        PyErr_Format(PyExc_TypeError, "%.100s.%s is not a slot", type->tp_name, name);
    Py_DECREF(slot);
    return is_slot;
}

/* The layout that was used last, with a reference to its class: mostly all outboxes of a process have one class. */
static Layout known;

/* Set the layout, if it is not that of the class yet. Returns 0 with an exception if an attribute is not a slot. */
static int read_layout(Layout *layout, PyTypeObject *type)
{
    Layout found = {type, 0, 0, 0, 0, 0};
    PyTypeObject *before = known.type;

    if (layout->type == type)
        return 1;
    if (before == type)
        found = known;
    else {
        if (!find_slot(type, "counts", &found.counts) || !find_slot(type, "fileno", &found.fileno) ||
            !find_slot(type, "frames", &found.frames) || !find_slot(type, "limit", &found.limit) ||
            !find_slot(type, "size", &found.size))
            return 0;
        Py_INCREF(type);
        known = found;
        Py_XDECREF(before);
    }
    *layout = found;
    return 1;
}

#define SLOT(outbox, place) (*(PyObject **)((char *)(outbox) + (place)))

/* Returns a borrowed reference, or NULL with an exception. */
static PyObject *frames_of(PyObject *outbox, const Layout *layout)
{
    PyObject *frames = SLOT(outbox, layout->frames);

    if (frames != NULL && PyList_CheckExact(frames))
        return frames;
    PyErr_SetString(PyExc_TypeError, "frames must be a list");
    return NULL;
}

/* Returns -1 for an outbox without a descriptor, and -2 with an exception. */
static int descriptor_of(PyObject *outbox, const Layout *layout)
{
    PyObject *fileno = SLOT(outbox, layout->fileno), *result;
    long descriptor;

    if (fileno == NULL) {
        PyErr_SetString(PyExc_AttributeError, "fileno");
        return -2;
    }
    result = PyObject_CallNoArgs(fileno);
    if (result == NULL)
        return -2;
    descriptor = PyLong_AsLong(result);
    Py_DECREF(result);
    if (descriptor == -1 && PyErr_Occurred())
        return -2;
    if (descriptor < -1 || descriptor > INT_MAX) {
        PyErr_Format(PyExc_ValueError, "no descriptor: %ld", descriptor);
        return -2;
    }
    return (int)descriptor;
}

/* Returns a new reference to bytes, or NULL with an exception. */
static PyObject *joined(PyObject *frames)
{
    PyObject *only;

    if (PyList_GET_SIZE(frames) != 1)
        return PyObject_CallMethodOneArg(no_bytes, join_name, frames);
    only = PyList_GET_ITEM(frames, 0);
    if (PyBytes_CheckExact(only))
        return Py_NewRef(only);
    PyErr_Format(PyExc_TypeError, "frames must be bytes, not %.100s", Py_TYPE(only)->tp_name);
    return NULL;
}

static int has_same_frames(PyObject *one, PyObject *other)
{
    Py_ssize_t count = PyList_GET_SIZE(one);

    if (PyList_GET_SIZE(other) != count)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++)
        if (PyList_GET_ITEM(one, i) != PyList_GET_ITEM(other, i))
            return 0;
    return 1;
}

/* The frames of the last outbox. Subscribers of one channel mostly wait for the same ones, which are joined once. */
typedef struct {
    PyObject *frames; /* NULL, or owned */
    PyObject *buffer; /* joined, owned by a job */
    Py_ssize_t total; /* bytes that were joined for this and other outboxes */
} Joined;

/* Prepare the job of one outbox, without a descriptor if too much is joined already. Returns 0 with an exception. */
static int read_job(Job *job, PyObject *outbox, const Layout *layout, Joined *last)
{
    PyObject *frames;

    job->descriptor = descriptor_of(outbox, layout);
    if (job->descriptor < 0)
        return job->descriptor == -1;
    frames = frames_of(outbox, layout);
    if (frames == NULL)
        return 0;
    if (last->frames != NULL && has_same_frames(frames, last->frames)) {
        job->buffer = Py_NewRef(last->buffer);
        return 1;
    }
    if (last->total > MAX_JOINED) {
        job->descriptor = -1;
        return 1;
    }
    job->buffer = joined(frames);
    if (job->buffer == NULL)
        return 0;
    if (PyList_GET_SIZE(frames) > 1)
        last->total += PyBytes_GET_SIZE(job->buffer);
    Py_XSETREF(last->frames, Py_NewRef(frames));
    last->buffer = job->buffer;
    return 1;
}

static int read_jobs(Job *jobs, PyObject *outboxes, Py_ssize_t count)
{
    Layout layout = {0};
    Joined last = {0};
    int is_done = 1;

    for (Py_ssize_t i = 0; is_done && i < count; i++) {
        PyObject *outbox = PyTuple_GET_ITEM(outboxes, i);

        is_done = read_layout(&layout, Py_TYPE(outbox)) && read_job(&jobs[i], outbox, &layout, &last);
    }
    Py_XDECREF(last.frames);
    return is_done;
}

/* What was sent, until it is added to the counts of the outboxes. */
typedef struct {
    PyObject *counts; /* NULL, or owned */
    Py_ssize_t frames, bytes;
} Sent;

static int increase(PyObject *counts, PyObject *name, Py_ssize_t by)
{
    PyObject *before = PyObject_GetAttr(counts, name), *more = PyLong_FromSsize_t(by), *sum = NULL;
    int failed;

    if (before != NULL && more != NULL)
        sum = PyNumber_Add(before, more);
    failed = sum == NULL || PyObject_SetAttr(counts, name, sum) < 0;
    Py_XDECREF(before);
    Py_XDECREF(more);
    Py_XDECREF(sum);
    return !failed;
}

/* Add what was sent to the counts, and continue with other ones. */
static int change_counts(Sent *sent, PyObject *counts)
{
    int is_done = sent->counts == NULL || (increase(sent->counts, frames_sent_name, sent->frames) &&
                                           increase(sent->counts, bytes_sent_name, sent->bytes));

    Py_XDECREF(sent->counts);
    *sent = (Sent){Py_XNewRef(counts), 0, 0};
    return is_done;
}

/* Remove the frames of an outbox if all of them are sent. Returns 1 if they were, 0 if not, -1 with an exception. */
static int empty(PyObject *outbox, const Layout *layout, const Job *job, Sent *sent)
{
    PyObject *size = SLOT(outbox, layout->size), *counts = SLOT(outbox, layout->counts), *frames;

    if (job->descriptor < 0 || job->sent < 0 || size == NULL || counts == NULL || !PyLong_CheckExact(size))
        return 0;
    if (PyLong_AsSsize_t(size) != job->sent) {
        PyErr_Clear(); /* of a size that is out of range */
        return 0;
    }
    frames = frames_of(outbox, layout);
    if (frames == NULL || (counts != sent->counts && !change_counts(sent, counts)))
        return -1;
    sent->frames += PyList_GET_SIZE(frames);
    sent->bytes += job->sent;
    SLOT(outbox, layout->size) = Py_NewRef(zero);
    Py_DECREF(size);
    return PyList_SetSlice(frames, 0, PY_SSIZE_T_MAX, NULL) < 0 ? -1 : 1;
}

static int add_unfinished(PyObject *unfinished, PyObject *outbox, const Job *job)
{
    PyObject *item = job->descriptor < 0 ? Py_BuildValue("(OO)", outbox, Py_None) : Py_BuildValue("(On)", outbox, job->sent);
    int failed = item == NULL || PyList_Append(unfinished, item) < 0;

    Py_XDECREF(item);
    return !failed;
}

/* Empty the outboxes of which everything was sent, and return the others with their results. */
static PyObject *take_results(const Job *jobs, PyObject *outboxes, Py_ssize_t count)
{
    PyObject *unfinished = PyList_New(0);
    Layout layout = {0};
    Sent sent = {0};
    int is_done = unfinished != NULL;

    for (Py_ssize_t i = 0; is_done && i < count; i++) {
        PyObject *outbox = PyTuple_GET_ITEM(outboxes, i);
        int emptied = read_layout(&layout, Py_TYPE(outbox)) ? empty(outbox, &layout, &jobs[i], &sent) : -1;

        is_done = emptied > 0 || (emptied == 0 && add_unfinished(unfinished, outbox, &jobs[i]));
    }
    if (is_done)
        is_done = change_counts(&sent, NULL);
    Py_XDECREF(sent.counts);
    if (!is_done)
        Py_CLEAR(unfinished);
    return unfinished;
}

static PyObject *send_waiting(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    PyObject *outboxes, *unfinished = NULL;
    Py_ssize_t count;
    Job *jobs;

    (void)module;
    if (given != 2 || !PyList_CheckExact(arguments[0]) || !PyBool_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "send_waiting takes a list of outboxes and a bool");
        return NULL;
    }
    outboxes = PyList_AsTuple(arguments[0]);
    if (outboxes == NULL)
        return NULL;
    count = PyTuple_GET_SIZE(outboxes);
    jobs = PyMem_Calloc((size_t)count + 1, sizeof *jobs);
    if (jobs == NULL)
        PyErr_NoMemory();
    else if (read_jobs(jobs, outboxes, count)) {
        send_jobs(jobs, count, arguments[1] == Py_True);
        unfinished = take_results(jobs, outboxes, count);
        if (unfinished == NULL) {
            /* An exception would mean that nothing was sent, and one of another class may need memory that is not there. */
            PyErr_Clear();
            unfinished = Py_NewRef(Py_None);
        }
    }
    for (Py_ssize_t i = 0; jobs != NULL && i < count; i++)
        Py_XDECREF(jobs[i].buffer);
    PyMem_Free(jobs);
    Py_DECREF(outboxes);
    return unfinished;
}

/* Returns 0 with an exception. */
static int queue_in(PyObject *outbox, const Layout *layout, PyObject *frame, PyObject *waiting)
{
    PyObject *frames = frames_of(outbox, layout), *size = SLOT(outbox, layout->size), *queued, *result;
    Py_ssize_t before;
    int overflows;

    if (frames == NULL)
        return 0;
    if (size == NULL || SLOT(outbox, layout->limit) == NULL) {
        PyErr_SetString(PyExc_AttributeError, "an outbox must have a size and a limit");
        return 0;
    }
    before = PyLong_AsSsize_t(size);
    if (before == -1 && PyErr_Occurred())
        return 0;
    queued = PyLong_FromSsize_t(before + PyBytes_GET_SIZE(frame));
    if (queued == NULL || PyList_Append(frames, frame) < 0) {
        Py_XDECREF(queued);
        return 0;
    }
    if (PyList_GET_SIZE(frames) == 1 && PyList_Append(waiting, outbox) < 0) {
        PyList_SetSlice(frames, 0, PY_SSIZE_T_MAX, NULL); /* needs no memory */
        Py_DECREF(queued);
        return 0;
    }
    SLOT(outbox, layout->size) = queued;
    Py_DECREF(size);
    overflows = PyObject_RichCompareBool(queued, SLOT(outbox, layout->limit), Py_GT);
    if (overflows <= 0)
        return overflows == 0;
    result = PyObject_CallMethodNoArgs(outbox, overflow_name);
    Py_XDECREF(result);
    return result != NULL;
}

static PyObject *queue_frame(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    PyObject *iterator, *outbox;
    Layout layout = {0};
    int is_done = 1;

    (void)module;
    if (given != 3 || !PyBytes_CheckExact(arguments[1]) || !PyList_CheckExact(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "queue_frame takes outboxes, bytes and a list");
        return NULL;
    }
    iterator = PyObject_GetIter(arguments[0]);
    if (iterator == NULL)
        return NULL;
    while (is_done && (outbox = PyIter_Next(iterator)) != NULL) {
        is_done = read_layout(&layout, Py_TYPE(outbox)) && queue_in(outbox, &layout, arguments[1], arguments[2]);
        Py_DECREF(outbox);
    }
    Py_DECREF(iterator);
    if (!is_done || PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"queue_frame", (PyCFunction)(void (*)(void))queue_frame, METH_FASTCALL,
     "queue_frame(outboxes, frame, waiting)\n--\n\n"
     "Append the frame to each of the outboxes, and the outboxes that were empty to waiting.\n\n"
     "Calls overflow of an outbox in which more bytes wait than its limit. Raises TypeError if the attributes of an outbox\n"
     "are not slots."},
    {"send_waiting", (PyCFunction)(void (*)(void))send_waiting, METH_FASTCALL,
     "send_waiting(outboxes, may_share)\n--\n\n"
     "Send all frames that wait in each of the outboxes, without waiting.\n\n"
     "With may_share, a helper thread sends a part of them. Outboxes of which everything was sent are empty afterwards, and\n"
     "counted in counts. Returns the others, each with the number of bytes that were sent, a negative errno, or None if nothing\n"
     "was tried: its fileno returns -1, or too much would be joined. Returns None if the results are lost for lack of memory.\n"
     "Raises errors only before anything is sent, such as TypeError if the attributes of an outbox are not slots."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_send_many",
                                        "Queueing and sending for many outboxes with one call (bulk_send.py).", -1, methods,
                                        NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__send_many(void)
{
    no_bytes = PyBytes_FromStringAndSize(NULL, 0);
    zero = PyLong_FromLong(0);
    join_name = PyUnicode_InternFromString("join");
    overflow_name = PyUnicode_InternFromString("overflow");
    frames_sent_name = PyUnicode_InternFromString("frames_sent");
    bytes_sent_name = PyUnicode_InternFromString("bytes_sent");
    if (!no_bytes || !zero || !join_name || !overflow_name || !frames_sent_name || !bytes_sent_name)
        return NULL;
    return PyModule_Create(&definition);
}
