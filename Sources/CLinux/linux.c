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
#include <stdio.h>
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
#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
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
    int null_fd;
    int failure;
};

enum { devices_read_only = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC };

static int arrange_mounts(const struct mounts_request *request) {
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0) return errno;
    for (const char *const *path = request->covers; *path != NULL; path++) {
        if (mount("tmpfs", *path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=1m,mode=0755") != 0) return errno;
    }
    for (const char *const *path = request->unmounts; *path != NULL; path++) {
        if (umount2(*path, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT) return errno;
    }
    // A device can be written to through a read-only mount; its owner and mode cannot be changed.
    if (mount("/dev", "/dev", NULL, MS_BIND | MS_REC, NULL) != 0) return errno;
    return mount(NULL, "/dev", NULL, devices_read_only, NULL) == 0 ? 0 : errno;
}

static void *make_mounts(void *argument) {
    struct mounts_request *request = argument;
    request->failure = arrange_mounts(request);
    if (request->failure != 0) return NULL;
    request->namespace_fd = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (request->namespace_fd < 0) {
        request->failure = errno;
        return NULL;
    }
    request->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (request->null_fd < 0) {
        request->failure = errno;
        close(request->namespace_fd);
    }
    return NULL;
}

int kiln_mount_namespace(const char *const *covers, const char *const *unmounts, int *namespace_fd, int *null_fd) {
    // Like a network namespace: the thread that made it ends with it.
    struct mounts_request request = {covers, unmounts, -1, -1, 0};
    pthread_t thread;
    int failure = pthread_create(&thread, NULL, make_mounts, &request);
    if (failure != 0) return failure;
    pthread_join(thread, NULL);
    if (request.failure != 0) return request.failure;
    *namespace_fd = request.namespace_fd;
    *null_fd = request.null_fd;
    return 0;
}

struct attach_request {
    int mount;
    int namespace_fd;
    const char *target;
    int failure;
};

static void *attach_mount(void *argument) {
    struct attach_request *request = argument;
    // A thread that shares its root and working folder with others may not change its mount namespace.
    if (unshare(CLONE_FS) != 0 || setns(request->namespace_fd, CLONE_NEWNS) != 0 ||
        syscall(SYS_move_mount, request->mount, "", AT_FDCWD, request->target, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
        request->failure = errno;
    }
    return NULL;
}

int kiln_mapped_mount(const char *source, int user_namespace, int mount_namespace, const char *target) {
    int copy = (int)syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (copy < 0) return errno;
    struct mount_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID;
    attributes.userns_fd = (unsigned long long)user_namespace;
    int failure = 0;
    if (syscall(SYS_mount_setattr, copy, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) failure = errno;
    if (failure == 0) {
        struct attach_request request = {copy, mount_namespace, target, 0};
        pthread_t thread;
        failure = pthread_create(&thread, NULL, attach_mount, &request);
        if (failure == 0) {
            pthread_join(thread, NULL);
            failure = request.failure;
        }
    }
    close(copy);
    return failure;
}

static void *detach_mount(void *argument) {
    struct attach_request *request = argument;
    if (unshare(CLONE_FS) != 0 || setns(request->namespace_fd, CLONE_NEWNS) != 0 ||
        umount2(request->target, MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
        request->failure = errno;
    }
    return NULL;
}

int kiln_unmount(int mount_namespace, const char *target) {
    struct attach_request request = {-1, mount_namespace, target, 0};
    pthread_t thread;
    int failure = pthread_create(&thread, NULL, detach_mount, &request);
    if (failure != 0) return failure;
    pthread_join(thread, NULL);
    return request.failure;
}

static int wait_to_be_killed(void *argument) {
    (void)argument;
    for (;;) syscall(SYS_pause);
}

static int write_map(pid_t pid, const char *name, unsigned int first, unsigned int count) {
    char path[64], line[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int length = snprintf(line, sizeof line, "0 %u %u\n", first, count);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return errno;
    int failure = write(file, line, (size_t)length) == length ? 0 : errno;
    close(file);
    return failure;
}

int kiln_user_namespace(unsigned int first, unsigned int count, int *namespace_fd) {
    // A process of several threads cannot make one for itself: a child that does nothing has it until it is open.
    void *stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return errno;
    sigset_t all, before;
    // No handler of ours may run in the child while it shares our memory.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int pidfd = -1;
    int flags = CLONE_VM | CLONE_FILES | CLONE_NEWUSER | CLONE_PIDFD | SIGCHLD;
    pid_t child = clone(wait_to_be_killed, (char *)stack + stack_size, flags, NULL, &pidfd);
    int failure = child < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure == 0) {
        char path[64];
        failure = write_map(child, "uid_map", first, count);
        if (failure == 0) failure = write_map(child, "gid_map", first, count);
        snprintf(path, sizeof path, "/proc/%d/ns/user", (int)child);
        if (failure == 0) {
            *namespace_fd = open(path, O_RDONLY | O_CLOEXEC);
            if (*namespace_fd < 0) failure = errno;
        }
        int status;
        kiln_pidfd_signal(pidfd, SIGKILL);
        kiln_pidfd_wait(pidfd, 1, &status);
        close(pidfd);
    }
    munmap(stack, stack_size);
    return failure;
}

struct pid_namespace_request {
    int namespace_fd;
    int failure;
};

static int forbid_in_child(void *argument) {
    struct pid_namespace_request *request = argument;
    int file = open("/proc/sys/vm/memfd_noexec", O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, "1", 1) != 1) request->failure = errno;
    _exit(0);
}

static void *forbid_in_thread(void *argument) {
    struct pid_namespace_request *request = argument;
    // Only what this thread starts from now on lives in there.
    if (setns(request->namespace_fd, CLONE_NEWPID) != 0) {
        request->failure = errno;
        return NULL;
    }
    void *stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        request->failure = errno;
        return NULL;
    }
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    int pidfd = -1, status;
    int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
    if (clone(forbid_in_child, (char *)stack + stack_size, flags, request, &pidfd) < 0) {
        request->failure = errno;
    } else {
        kiln_pidfd_wait(pidfd, 1, &status);
        close(pidfd);
    }
    munmap(stack, stack_size);
    return NULL;
}

int kiln_forbid_memory_programs(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    struct pid_namespace_request request = {open(path, O_RDONLY | O_CLOEXEC), 0};
    if (request.namespace_fd < 0) return errno;
    pthread_t thread;
    int failure = pthread_create(&thread, NULL, forbid_in_thread, &request);
    if (failure == 0) {
        pthread_join(thread, NULL);
        failure = request.failure;
    }
    close(request.namespace_fd);
    return failure;
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
        return NULL;
    }
    // Kernels before 4.11 have no such setting, and ask for a capability instead.
    int ports = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY | O_CLOEXEC);
    if (ports >= 0) {
        if (write(ports, "0", 1) != 1) request->failure = errno;
        close(ports);
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
