// Looking at processes from outside, and being told of them.
#include "kiln_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { kernel_thread = 0x00200000 };

static const char *const namespace_names[kiln_namespaces] = {
    "ns/pid", "ns/mnt", "ns/net", "ns/ipc", "ns/uts", "ns/cgroup", "ns/user",
};

static int open_process(int pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", pid);
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static ssize_t read_at(int folder, const char *name, char *buffer, size_t capacity) {
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -errno;
    size_t held = 0;
    while (held < capacity) {
        ssize_t count = read(file, buffer + held, capacity - held);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        held += (size_t)count;
    }
    close(file);
    return (ssize_t)held;
}

int kiln_process_look(int pid, int with_namespaces, struct kiln_process *seen) {
    memset(seen, 0, sizeof *seen);
    int folder = open_process(pid);
    if (folder < 0) return errno;
    char text[1024];
    ssize_t count = read_at(folder, "stat", text, sizeof text - 1);
    int failure = count <= 0 ? ESRCH : 0;
    if (failure == 0) {
        text[count] = 0;
        // The name may hold spaces and brackets: the fields begin after the last closing one (man 5 proc).
        char *rest = strrchr(text, ')');
        unsigned flags = 0;
        unsigned long long start = 0;
        if (rest == NULL
            || sscanf(rest + 1, " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                   &seen->state, &seen->parent, &flags, &start) != 4) {
            failure = EIO;
        }
        seen->pid = pid;
        seen->start_time = start;
        seen->is_kernel = (flags & kernel_thread) != 0;
    }
    if (failure == 0 && with_namespaces && !seen->is_kernel && seen->state != 'Z' && seen->state != 'X') {
        for (int i = 0; i < kiln_namespaces; i++) {
            struct stat info;
            if (fstatat(folder, namespace_names[i], &info, 0) == 0) seen->namespaces[i] = info.st_ino;
        }
    }
    close(folder);
    return failure;
}

int kiln_process_program(int pid, uint64_t *device, uint64_t *inode) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    struct stat info;
    if (stat(path, &info) != 0) return errno;
    *device = info.st_dev;
    *inode = info.st_ino;
    return 0;
}

int64_t kiln_process_read(int pid, const char *name, char *buffer, size_t capacity) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return read_at(AT_FDCWD, path, buffer, capacity);
}

int kiln_process_events(void) {
    int file = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
    if (file < 0) return -errno;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    enum proc_cn_mcast_op operation = PROC_CN_MCAST_LISTEN;
    struct nlmsghdr header = {.nlmsg_type = NLMSG_DONE};
    struct cn_msg message = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof operation};
    char request[NLMSG_HDRLEN + sizeof message + sizeof operation];
    header.nlmsg_len = sizeof request;
    memcpy(request, &header, sizeof header);
    memcpy(request + NLMSG_HDRLEN, &message, sizeof message);
    memcpy(request + NLMSG_HDRLEN + sizeof message, &operation, sizeof operation);
    int size = 4 << 20;
    setsockopt(file, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (bind(file, (struct sockaddr *)&address, sizeof address) != 0
        || send(file, request, sizeof request, 0) != (ssize_t)sizeof request) {
        int failure = errno;
        close(file);
        return -failure;
    }
    return file;
}

int kiln_next_exec(int file) {
    // At most as many messages as a busy host sends while one is looked at.
    for (int i = 0; i < 1024; i++) {
        char buffer[1024] __attribute__((aligned(8)));
        struct sockaddr_nl sender;
        socklen_t size = sizeof sender;
        ssize_t count = recvfrom(file, buffer, sizeof buffer, 0, (struct sockaddr *)&sender, &size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno == EAGAIN ? 0 : -errno;
        // Only the kernel is believed.
        if (sender.nl_pid != 0) continue;
        const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;
        if ((size_t)count < NLMSG_LENGTH(sizeof(struct cn_msg) + sizeof(struct proc_event))) continue;
        const struct cn_msg *message = NLMSG_DATA(header);
        if (message->id.idx != CN_IDX_PROC) continue;
        const struct proc_event *event = (const struct proc_event *)message->data;
        if (event->what == PROC_EVENT_EXEC) return event->event_data.exec.process_tgid;
    }
    return 0;
}

int kiln_event_flag(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int kiln_socket_in(int namespace_fd, int home_fd, int protocol) {
    if (setns(namespace_fd, CLONE_NEWNET) != 0) return -errno;
    int file = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    int failure = file < 0 ? errno : 0;
    // A thread that stayed in an instance's network would do everything else there.
    if (setns(home_fd, CLONE_NEWNET) != 0) abort();
    return file < 0 ? -failure : file;
}

int kiln_exec_guard(void) {
    int file = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC | O_LARGEFILE);
    return file < 0 ? -errno : file;
}

int kiln_exec_guard_add(int guard, const char *path) {
    unsigned int flags = FAN_MARK_ADD | FAN_MARK_FILESYSTEM;
    return fanotify_mark(guard, flags, FAN_OPEN_EXEC_PERM, AT_FDCWD, path) == 0 ? 0 : errno;
}

int kiln_exec_guard_read(int guard, struct kiln_exec_request *requests, int capacity) {
    struct fanotify_event_metadata buffer[64];
    size_t room = sizeof buffer[0] * (size_t)(capacity < 64 ? capacity : 64);
    ssize_t count = read(guard, buffer, room);
    if (count < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    int found = 0;
    const struct fanotify_event_metadata *event = buffer;
    for (ssize_t rest = count; FAN_EVENT_OK(event, rest) && found < capacity; event = FAN_EVENT_NEXT(event, rest)) {
        if (event->vers != FANOTIFY_METADATA_VERSION) return -EPROTO;
        requests[found].pid = event->pid;
        requests[found].file = event->fd;
        requests[found].overflowed = (event->mask & FAN_Q_OVERFLOW) != 0;
        found++;
    }
    return found;
}

int kiln_exec_guard_answer(int guard, int file, int allow) {
    struct fanotify_response response = {.fd = file, .response = allow ? FAN_ALLOW : FAN_DENY};
    int failure = write(guard, &response, sizeof response) == (ssize_t)sizeof response ? 0 : errno;
    close(file);
    return failure;
}

int kiln_file_watch(void) {
    int file = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return file < 0 ? -errno : file;
}

int kiln_file_watch_add(int watch, const char *path) {
    int number = inotify_add_watch(watch, path, IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVE_SELF | IN_DELETE_SELF);
    return number < 0 ? -errno : number;
}

void kiln_file_watch_remove(int watch, int number) { inotify_rm_watch(watch, number); }

int kiln_file_watch_next(int watch, int *numbers, int capacity) {
    char buffer[4096] __attribute__((aligned(8)));
    ssize_t count = read(watch, buffer, sizeof buffer);
    if (count < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    int found = 0;
    for (ssize_t place = 0; place + (ssize_t)sizeof(struct inotify_event) <= count && found < capacity;) {
        const struct inotify_event *event = (const struct inotify_event *)(buffer + place);
        // -1 where the queue overflowed.
        numbers[found++] = event->wd;
        place += (ssize_t)(sizeof *event + event->len);
    }
    return found;
}

int kiln_file_has_bytes(int file, uint64_t start, uint64_t length) {
    enum { extents = 64 };
    union {
        struct fiemap map;
        char room[sizeof(struct fiemap) + extents * sizeof(struct fiemap_extent)];
    } request;
    uint64_t from = 0;
    // A file of more pieces than that is one that nobody made with mkfs.erofs.
    for (int round = 0; round < 1024; round++) {
        memset(&request, 0, sizeof request);
        request.map.fm_start = from;
        request.map.fm_length = FIEMAP_MAX_OFFSET - from;
        request.map.fm_extent_count = extents;
        if (ioctl(file, FS_IOC_FIEMAP, &request.map) != 0) return -errno;
        if (request.map.fm_mapped_extents == 0) return 0;
        for (unsigned i = 0; i < request.map.fm_mapped_extents; i++) {
            const struct fiemap_extent *extent = &request.map.fm_extents[i];
            if (extent->fe_physical < start + length && start < extent->fe_physical + extent->fe_length) return 1;
            if (extent->fe_flags & FIEMAP_EXTENT_LAST) return 0;
            from = extent->fe_logical + extent->fe_length;
        }
    }
    return 0;
}
