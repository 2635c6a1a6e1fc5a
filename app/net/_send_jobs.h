/* Jobs: a non-blocking send to each of many sockets, with which a helper thread may help (_send_jobs.c). */

#ifndef GENTRIFUGO_SEND_JOBS_H
#define GENTRIFUGO_SEND_JOBS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct {
    int descriptor;   /* none if negative: there is nothing to send */
    PyObject *buffer; /* bytes, which the job owns; NULL without a descriptor */
    Py_ssize_t sent;  /* bytes, or a negative errno */
} Job;

/* Do all jobs, without the GIL. If may_share is not 0, the helper thread takes a part of them. */
void send_jobs(Job *jobs, Py_ssize_t count, int may_share);

#endif
