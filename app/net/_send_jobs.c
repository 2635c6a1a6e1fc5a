/*
 * A non-blocking send to each of many sockets, without the GIL, shared with a helper thread on another core.
 *
 * No descriptor can be closed, and reused for another connection, during a call: connections are closed by greenlets of
 * the thread that calls, which does not run any other greenlet before send_jobs returns, and the helper thread touches no
 * descriptor after that.
 */

#include "_send_jobs.h"

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

    if (job->descriptor < 0)
        return;
    do
        sent = send(job->descriptor, PyBytes_AS_STRING(job->buffer), (size_t)PyBytes_GET_SIZE(job->buffer),
                    MSG_DONTWAIT | MSG_NOSIGNAL);
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

void send_jobs(Job *jobs, Py_ssize_t count, int may_share)
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
