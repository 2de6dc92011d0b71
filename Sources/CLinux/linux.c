#include "kiln_linux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif

enum { stack_size = 64 * 1024, most_inherited = 8, first_free = 3 + most_inherited };

struct child {
    const struct kiln_spawn_request *request;
    // Shared memory: the parent sleeps until the child has left it by exec or exit.
    volatile int failure;
};

static void close_from(unsigned int first) {
    if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
    // Kernels before 5.9. The bound is the usual hard limit of descriptors in a server.
    for (int fd = (int)first; fd < 65536; fd++) close(fd);
}

static int arrange_descriptors(const struct kiln_spawn_request *request) {
    int wanted[first_free];
    size_t count = 3 + request->inherited_count;
    wanted[0] = request->input;
    wanted[1] = request->output;
    wanted[2] = request->error;
    for (size_t i = 0; i < request->inherited_count; i++) wanted[3 + i] = request->inherited[i];
    // First out of the way, then into place: a source may be another one's place.
    for (size_t i = 0; i < count; i++) {
        wanted[i] = fcntl(wanted[i], F_DUPFD, first_free);
        if (wanted[i] < 0) return errno;
    }
    for (size_t i = 0; i < count; i++) {
        if (dup2(wanted[i], (int)i) < 0) return errno;
    }
    close_from((unsigned int)count);
    return 0;
}

static int run_child(void *argument) {
    struct child *child = argument;
    const struct kiln_spawn_request *request = child->request;
    struct sigaction plain;
    memset(&plain, 0, sizeof plain);
    plain.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++) sigaction(number, &plain, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (request->new_session) setsid();
    if (request->mount_namespace >= 0 && setns(request->mount_namespace, CLONE_NEWNS) != 0) {
        child->failure = errno;
        _exit(127);
    }
    child->failure = arrange_descriptors(request);
    if (child->failure != 0) _exit(127);
    execve(request->program, request->arguments, request->environment);
    child->failure = errno;
    _exit(127);
}

int kiln_spawn(const struct kiln_spawn_request *request, pid_t *pid, int *pidfd) {
    if (request->inherited_count > most_inherited) return EINVAL;
    void *stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return errno;
    struct child child = {request, 0};
    sigset_t all, before;
    // No handler of ours may run in the child while it shares our memory.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
    pid_t made = clone(run_child, (char *)stack + stack_size, flags, &child, pidfd);
    int failure = made < 0 ? errno : child.failure;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, stack_size);
    if (made < 0) return failure;
    if (failure != 0) {
        int status;
        kiln_pidfd_wait(*pidfd, 1, &status);
        close(*pidfd);
        return failure;
    }
    *pid = made;
    return 0;
}

struct mounts_request {
    const char *const *covers;
    const char *const *unmounts;
    int namespace_fd;
    int failure;
};

static int arrange_mounts(const struct mounts_request *request) {
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0) return errno;
    for (const char *const *path = request->covers; *path != NULL; path++) {
        if (mount("tmpfs", *path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=1m,mode=0755") != 0) return errno;
    }
    for (const char *const *path = request->unmounts; *path != NULL; path++) {
        if (umount2(*path, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT) return errno;
    }
    return 0;
}

static void *make_mounts(void *argument) {
    struct mounts_request *request = argument;
    request->failure = arrange_mounts(request);
    if (request->failure != 0) return NULL;
    request->namespace_fd = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (request->namespace_fd < 0) request->failure = errno;
    return NULL;
}

int kiln_mount_namespace(const char *const *covers, const char *const *unmounts, int *namespace_fd) {
    // Like a network namespace: the thread that made it ends with it.
    struct mounts_request request = {covers, unmounts, -1, 0};
    pthread_t thread;
    int failure = pthread_create(&thread, NULL, make_mounts, &request);
    if (failure != 0) return failure;
    pthread_join(thread, NULL);
    if (request.failure != 0) return request.failure;
    *namespace_fd = request.namespace_fd;
    return 0;
}

int kiln_sealed_copy(const char *path) {
    int source = open(path, O_RDONLY | O_CLOEXEC);
    if (source < 0) return -errno;
    struct stat info;
    int copy = fstat(source, &info) == 0 ? memfd_create("kiln", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC) : -1;
    // Kernels before 6.3 do not know the flag, and let every such file be executed.
    if (copy < 0 && errno == EINVAL) copy = memfd_create("kiln", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int failure = copy < 0 ? errno : 0;
    off_t rest = failure == 0 ? info.st_size : 0;
    while (rest > 0 && failure == 0) {
        ssize_t count = sendfile(copy, source, NULL, (size_t)rest);
        if (count > 0) rest -= count;
        else if (count == 0 || errno != EINTR) failure = count == 0 ? EIO : errno;
    }
    close(source);
    int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (failure == 0 && fcntl(copy, F_ADD_SEALS, seals) != 0) failure = errno;
    if (failure == 0) return copy;
    if (copy >= 0) close(copy);
    return -failure;
}

int kiln_pipe(int *ends) { return pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno; }

int kiln_pidfd_open(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

int kiln_pidfd_signal(int pidfd, int signal) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0 ? 0 : errno;
}

int kiln_pidfd_wait(int pidfd, int block, int *status) {
    siginfo_t info;
    int result;
    memset(&info, 0, sizeof info);
    do {
        result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | (block ? 0 : WNOHANG));
    } while (result != 0 && errno == EINTR);
    if (result != 0) return -errno;
    if (info.si_pid == 0) return 0;
    *status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    return 1;
}

int kiln_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? 0 : errno; }

int kiln_netlink_socket(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    return fd < 0 ? -errno : fd;
}

struct namespace_request {
    int namespace_fd;
    int netlink_fd;
    int failure;
};

static void *make_namespace(void *argument) {
    struct namespace_request *request = argument;
    if (unshare(CLONE_NEWNET) != 0) {
        request->failure = errno;
        return NULL;
    }
    request->namespace_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (request->namespace_fd < 0) {
        request->failure = errno;
        return NULL;
    }
    request->netlink_fd = kiln_netlink_socket();
    if (request->netlink_fd < 0) {
        request->failure = -request->netlink_fd;
        close(request->namespace_fd);
    }
    return NULL;
}

int kiln_network_namespace(int *namespace_fd, int *netlink_fd) {
    // A thread cannot come back from a namespace cleanly; one that ends does not have to.
    struct namespace_request request = {-1, -1, 0};
    pthread_t thread;
    int failure = pthread_create(&thread, NULL, make_namespace, &request);
    if (failure != 0) return failure;
    pthread_join(thread, NULL);
    if (request.failure != 0) return request.failure;
    *namespace_fd = request.namespace_fd;
    *netlink_fd = request.netlink_fd;
    return 0;
}

int64_t kiln_free_in_memory(const char *path) {
    struct statfs info;
    if (statfs(path, &info) != 0 || info.f_type != TMPFS_MAGIC) return -1;
    return (int64_t)info.f_bavail * (int64_t)info.f_bsize;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info;
    (void)place;
    int result = kind == FTW_DP || kind == FTW_D || kind == FTW_DNR ? rmdir(path) : unlink(path);
    return result == 0 || errno == ENOENT ? 0 : errno;
}

int kiln_remove_tree(const char *path) {
    struct stat info;
    if (lstat(path, &info) != 0) return errno == ENOENT ? 0 : errno;
    int result = nftw(path, remove_entry, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    return result < 0 ? errno : result;
}

int kiln_try_listen(const char *host, int port) {
    struct sockaddr_in6 six;
    struct sockaddr_in four;
    memset(&six, 0, sizeof six);
    memset(&four, 0, sizeof four);
    four.sin_family = AF_INET;
    four.sin_port = htons((uint16_t)port);
    six.sin6_family = AF_INET6;
    six.sin6_port = htons((uint16_t)port);
    int is_six = inet_pton(AF_INET6, host, &six.sin6_addr) == 1;
    if (!is_six && host[0] != 0 && inet_pton(AF_INET, host, &four.sin_addr) != 1) return EINVAL;
    int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    int result = is_six ? bind(fd, (struct sockaddr *)&six, sizeof six)
                        : bind(fd, (struct sockaddr *)&four, sizeof four);
    if (result == 0) result = listen(fd, 1);
    int failure = result == 0 ? 0 : errno;
    close(fd);
    return failure;
}
