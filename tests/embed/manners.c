/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The example host, watched: does what it loads leave its process alone? It runs the whole of
 * examples/plain_host/plain_host.c (as `plain_host_main`), as often as a first argument --rounds=N
 * says, and compares before and after: handlers, masks, umask, working directory, locale,
 * descriptors and threads. Meanwhile it counts
 *
 *   - calls that change one of these or register with atexit: they are defined here once more, so
 *     that the loaded objects find these and not libc's;
 *   - what SIGCHLD tells, and whom a plain waitpid(-1) finds: the host has one child of its own,
 *     which lives until all is over and must be the first and only one.
 *
 * Behind --rounds=N may stand
 *
 *     --on-crash-kill   each life has a block that is to die with the host, so that the module
 *                       starts its keeper
 *     --stay-ms=N       each life lasts so much longer, while others ask the module
 *
 * Prints `FAILED ...` lines and, at the end, what was counted: the heap and the resident set at
 * each tenth of the rounds, and the rest. Exit status 0: all well.
 */

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum { WORDS_MAX = 32, TENTHS = 10 };

int plain_host_main(int argc, char **argv);
int plain_host_getchar(void);

static atomic_int failures, sigchlds, atexits_of_libraries;
static atomic_bool watching;

__attribute__((format(printf, 1, 2))) static void failed(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("FAILED ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
    failures++;
}

static const char *object_of(const void *address)
{
    Dl_info info;
    return dladdr(address, &info) && info.dli_fname ? info.dli_fname : "?";
}

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function)
        abort();
    return function;
}

/* ---- calls that a guest has no business making -------------------------------------------------
 */

#pragma GCC visibility push(default)

#define TELL(name)                                                                                 \
    do {                                                                                           \
        if (watching)                                                                              \
            failed("%s was called by %s", name, object_of(__builtin_return_address(0)));           \
    } while (0)

/* What only asks is fine. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    if (action)
        TELL("sigaction");
    return ((__typeof__(&sigaction))next("sigaction"))(number, action, old);
}

void (*signal(int number, void (*handler)(int)))(int)
{
    TELL("signal");
    return ((__typeof__(&signal))next("signal"))(number, handler);
}

mode_t umask(mode_t mask)
{
    TELL("umask");
    return ((__typeof__(&umask))next("umask"))(mask);
}

int chdir(const char *path)
{
    TELL("chdir");
    return ((__typeof__(&chdir))next("chdir"))(path);
}

int fchdir(int fd)
{
    TELL("fchdir");
    return ((__typeof__(&fchdir))next("fchdir"))(fd);
}

void srandom(unsigned seed)
{
    TELL("srandom");
    ((__typeof__(&srandom))next("srandom"))(seed);
}

int setenv(const char *name, const char *value, int overwrite)
{
    TELL("setenv");
    return ((__typeof__(&setenv))next("setenv"))(name, value, overwrite);
}

/* Libraries of C++ register the ends of their own objects when they are loaded; atexit itself ends
 * here too, with the object it was called in. */
int __cxa_atexit(void (*function)(void *), void *argument, void *object);
int __cxa_atexit(void (*function)(void *), void *argument, void *object)
{
    if (watching && strstr(object_of((const void *)(uintptr_t)function), "proctrack.so"))
        failed("atexit was called by the module");
    else if (watching)
        atexits_of_libraries++;
    return ((__typeof__(&__cxa_atexit))next("__cxa_atexit"))(function, argument, object);
}

#pragma GCC visibility pop

/* ---- before and after --------------------------------------------------------------------------
 */

static int entries(const char *directory)
{
    int count = 0;
    DIR *dir = opendir(directory);
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

struct state {
    struct sigaction actions[65];
    sigset_t blocked;
    mode_t umask;
    char cwd[4096];
    char locale[256];
    int descriptors, threads, atexits;
};

static void take(struct state *state)
{
    memset(state, 0, sizeof *state);
    for (int number = 1; number < 65; number++)
        sigaction(number, NULL, &state->actions[number]);
    pthread_sigmask(SIG_SETMASK, NULL, &state->blocked);
    state->umask = umask(0);
    umask(state->umask);
    if (!getcwd(state->cwd, sizeof state->cwd))
        abort();
    snprintf(state->locale, sizeof state->locale, "%s", setlocale(LC_ALL, NULL));
    state->descriptors = entries("/proc/self/fd");
    state->threads = entries("/proc/self/task");
    state->atexits = atexits_of_libraries;
}

static void compare(const struct state *before, const struct state *after)
{
    for (int number = 1; number < 65; number++)
        if (before->actions[number].sa_handler != after->actions[number].sa_handler ||
            before->actions[number].sa_flags != after->actions[number].sa_flags)
            failed("the handling of signal %d has changed", number);
    for (int number = 1; number < 65; number++)
        if (sigismember(&before->blocked, number) != sigismember(&after->blocked, number))
            failed("signal %d is not blocked or free as before", number);
    if (before->umask != after->umask)
        failed("umask was %03o, is %03o", before->umask, after->umask);
    if (strcmp(before->cwd, after->cwd) != 0)
        failed("the working directory was %s, is %s", before->cwd, after->cwd);
    if (strcmp(before->locale, after->locale) != 0)
        failed("the locale was %s, is %s", before->locale, after->locale);
    if (before->descriptors != after->descriptors)
        failed("descriptors were %d, are %d", before->descriptors, after->descriptors);
    if (before->threads != after->threads)
        failed("threads were %d, are %d", before->threads, after->threads);
    if (before->atexits != after->atexits)
        failed("registered with atexit: %d, now %d", before->atexits, after->atexits);
}

/* ---- the host's child
 * ----------------------------------------------------------------------------- */

static void on_child(int number)
{
    (void)number;
    sigchlds++;
}

static void *wait_for_children(void *argument)
{
    pid_t child = *(pid_t *)argument;
    int status;
    pid_t found = waitpid(-1, &status, 0);
    if (found != child)
        failed("waitpid found %d: a stranger among the host's children", found);
    return NULL;
}

/* ---- a block that is to die with the host ------------------------------------------------------
 */

static const char *runtime; /* null: there is none */
static long stay_ms;

static void want_block_to_die(void)
{
    static const char request[] = "\x82\xa7"
                                  "command"
                                  "\xae"
                                  "ensure_tracker"
                                  "\xa4"
                                  "data"
                                  "\x82\xa8"
                                  "block_id"
                                  "\xa5"
                                  "plain"
                                  "\xa8"
                                  "on_crash"
                                  "\xa4"
                                  "kill";
    char endpoint[4200], reply[8192] = "";
    snprintf(endpoint, sizeof endpoint, "ipc://%s/control", runtime);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_REQ);
    zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &(int){60000}, sizeof(int));
    zmq_connect(socket, endpoint);
    zmq_send(socket, request, sizeof request - 1, 0);
    int size = zmq_recv(socket, reply, sizeof reply, 0);
    if (size <= 0 || !memmem(reply, (size_t)size, "created", 7))
        failed("on_crash: kill was refused: %.*s", size < 0 ? 0 : size, reply);
    zmq_close(socket);
    zmq_ctx_term(context);
}

/* The plain host reads its input while its block is there. */
int plain_host_getchar(void)
{
    if (runtime)
        want_block_to_die();
    nanosleep(&(struct timespec){stay_ms / 1000, stay_ms % 1000 * 1000000}, NULL);
    return getchar();
}

/* One life of the host, which may cut up its arguments. */
static void run_once(int argc, char **argv)
{
    char *words[WORDS_MAX + 1] = {NULL};
    for (int i = 0; i < argc; i++)
        words[i] = strdup(argv[i]);
    char *kept[WORDS_MAX + 1];
    memcpy(kept, words, sizeof kept);
    int status = plain_host_main(argc, words);
    if (status != 0)
        failed("the host ended with %d", status);
    for (int i = 0; i < argc; i++)
        free(kept[i]);
}

struct memory {
    long heap_kib, resident_kib;
};

static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%*s %ld", &pages) != 1)
        abort();
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void run(long rounds, int argc, char **argv)
{
    watching = true;
    for (long round = 0; round < rounds && !failures; round++)
        run_once(argc, argv);
    watching = false;
}

/* What is allocated: free memory that the heap holds back for later does not count. */
static long heap_kib(void)
{
    struct mallinfo2 info = mallinfo2();
    return (long)((info.uordblks + info.hblkhd) / 1024);
}

static void run_in_tenths(long rounds, int argc, char **argv, struct memory memory[TENTHS])
{
    for (int i = 0; i < TENTHS; i++) {
        run(rounds * (i + 1) / TENTHS - rounds * i / TENTHS, argc, argv);
        memory[i] = (struct memory){heap_kib(), resident_kib()};
    }
}

static void tell_memory(const struct memory memory[TENTHS])
{
    printf("heap KiB");
    for (int i = 0; i < TENTHS; i++)
        printf(" %ld", memory[i].heap_kib);
    printf("\nresident KiB");
    for (int i = 0; i < TENTHS; i++)
        printf(" %ld", memory[i].resident_kib);
    putchar('\n');
}

/* ---- arguments ---------------------------------------------------------------------------------
 */

/* The value behind `name` in the next word, which is taken away; null: it is another word. */
static const char *take_word(int *argc, char ***argv, const char *name)
{
    if (*argc < 2 || strncmp((*argv)[1], name, strlen(name)) != 0)
        return NULL;
    const char *value = (*argv)[1] + strlen(name);
    (*argv)[1] = (*argv)[0];
    (*argc)--, (*argv)++;
    return value;
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "C");
    umask(027);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = on_child, .sa_flags = SA_RESTART}, NULL);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_child}, NULL);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);

    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    pthread_t waiter;
    if (child < 0 || pthread_create(&waiter, NULL, wait_for_children, &child) != 0)
        abort();

    const char *rounds = argc <= WORDS_MAX ? take_word(&argc, &argv, "--rounds=") : NULL, *stay;
    if (!rounds)
        return 64;
    if (take_word(&argc, &argv, "--on-crash-kill"))
        runtime = argc > 1 ? argv[1] : NULL;
    if ((stay = take_word(&argc, &argv, "--stay-ms=")))
        stay_ms = strtol(stay, NULL, 10);
    /* The first time libraries are loaded; they stay. */
    struct state before, after;
    struct memory memory[TENTHS];
    run(2, argc, argv);
    int children_before = sigchlds;
    take(&before);
    run_in_tenths(strtol(rounds, NULL, 10), argc, argv, memory);
    take(&after);
    compare(&before, &after);
    if (children_before != 0 || sigchlds != 0)
        failed("SIGCHLD came %d times", (int)sigchlds);

    kill(child, SIGKILL);
    pthread_join(waiter, NULL);
    if (sigchlds != 1)
        failed("the end of the host's own child gave %d SIGCHLD", (int)sigchlds);
    tell_memory(memory);
    printf("descriptors %d %d, threads %d %d, SIGCHLD %d, atexit of libraries %d\n",
           before.descriptors, after.descriptors, before.threads, after.threads, (int)sigchlds,
           (int)atexits_of_libraries);
    return failures ? 1 : 0;
}
