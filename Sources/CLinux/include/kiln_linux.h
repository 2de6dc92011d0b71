// Linux calls that Glibc does not import into Swift, and those that have to run between fork and exec.
#ifndef KILN_LINUX_H
#define KILN_LINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// What to start, and what its world looks like. Paths are absolute; every pointer stays owned by the caller.
struct kiln_spawn_request {
    const char *program;
    char *const *arguments;
    char *const *environment;
    int input;
    int output;
    int error;
    /// Descriptors that become 3, 4, … in the child; all others are closed there. At most 8.
    const int *inherited;
    size_t inherited_count;
    /// Non-zero: a session of its own, so that no terminal's signal reaches it.
    int new_session;
    /// The mount namespace that it lives in, or -1: ours.
    int mount_namespace;
};

/// Starts a program and returns at once; its errors up to and including exec are the result: 0 or an errno.
/// `pidfd` is close-on-exec and belongs to the caller, as does the duty to wait for the child.
int kiln_spawn(const struct kiln_spawn_request *request, pid_t *pid, int *pidfd);

/// Makes a mount namespace that lives as long as its descriptor or a process in it: a slave of ours, in which the
/// paths in `covers`, up to a NULL, are hidden under an empty tmpfs of 1 MiB, and those in `unmounts` are unmounted.
/// /dev is read-only in it, so that nobody who gets a device from there can change its owner or mode; `null_fd` is
/// /dev/null of in there. 0 or an errno. The calling thread stays where it is.
int kiln_mount_namespace(const char *const *covers, const char *const *unmounts, int *namespace_fd, int *null_fd);

/// Makes a user namespace that lives as long as its descriptor, in which the users and groups 0 to count - 1 are those
/// from `first` on outside. 0 or an errno.
int kiln_user_namespace(unsigned int first, unsigned int count, int *namespace_fd);

/// Mounts what is mounted at `source` once more, read-only, at `target` in another mount namespace: there, the owners
/// of its files are those that the user namespace makes of them. 0 or an errno.
int kiln_mapped_mount(const char *source, int user_namespace, int mount_namespace, const char *target);

/// Unmounts what is at `target` in another mount namespace. 0 or an errno.
int kiln_unmount(int mount_namespace, const char *target);

/// From now on, files in memory that are made in the pid namespace of a process cannot be executed. 0 or an errno:
/// ENOENT where the kernel has no such setting.
int kiln_forbid_memory_programs(pid_t pid);

/// A copy of a program in memory that nobody can ever write to, as an open file; or minus an errno.
int kiln_sealed_copy(const char *path);

/// Both ends of a pipe, close-on-exec from the first moment. 0 or an errno.
int kiln_pipe(int *ends);

/// A descriptor of a process, or minus an errno.
int kiln_pidfd_open(pid_t pid);

/// 0 or an errno.
int kiln_pidfd_signal(int pidfd, int signal);

/// Reaps a child by its descriptor. Returns 1 with `status` (exit code, or 128 + signal), 0 while it runs (only
/// where `block` is 0), or minus an errno.
int kiln_pidfd_wait(int pidfd, int block, int *status);

/// From now on, processes whose parent ended become children of this one, not of the host's first process. 0 or an errno.
int kiln_adopt_orphans(void);

/// Makes a network namespace that lives as long as its descriptor or a process in it, and a route socket inside. Any
/// port in it may be listened on without a capability.
/// 0 or an errno. The calling thread stays where it is.
int kiln_network_namespace(int *namespace_fd, int *netlink_fd);

/// A route socket in this process's own namespace, or minus an errno.
int kiln_netlink_socket(void);

/// Bytes that are free in a folder of a tmpfs, or -1 where it is none.
int64_t kiln_free_in_memory(const char *path);

/// Removes a folder and all below it without leaving its file system. 0 or the first errno; a missing folder is fine.
int kiln_remove_tree(const char *path);

/// Tries to listen at an address as a server would: 0 or an errno. `host` is numeric, or empty for every address.
int kiln_try_listen(const char *host, int port);

enum { kiln_namespaces = 7 };

/// A process as it is now.
struct kiln_process {
    int32_t pid;
    int32_t parent;
    /// Clock ticks since boot.
    uint64_t start_time;
    /// Inodes of its namespaces: pid, mnt, net, ipc, uts, cgroup, user; 0 where they cannot be seen.
    uint64_t namespaces[kiln_namespaces];
    /// As in /proc/PID/stat.
    char state;
    uint8_t is_kernel;
};

/// Looks at a process. 0 or an errno.
int kiln_process_look(int pid, int with_namespaces, struct kiln_process *seen);

/// Device and inode of the program that a process runs. 0 or an errno.
int kiln_process_program(int pid, uint64_t *device, uint64_t *inode);

/// At most `capacity` bytes of a file of /proc/PID, by its name; how many, or minus an errno.
int64_t kiln_process_read(int pid, const char *name, char *buffer, size_t capacity);

/// A socket on which the kernel tells of every exec on this host (cn_proc), non-blocking; or minus an errno.
int kiln_process_events(void);

/// The next process that executed a program, 0 where there is none now, or minus an errno; ENOBUFS: some were lost.
int kiln_next_exec(int file);

/// An eventfd, non-blocking, or minus one.
int kiln_event_flag(void);

/// A netlink socket that works in another network namespace, or minus an errno. The calling thread must be nobody
/// else's; it is back in `home_fd` when this returns.
int kiln_socket_in(int namespace_fd, int home_fd, int protocol);

/// A program is about to be executed.
struct kiln_exec_request {
    int32_t pid;
    /// The program's file, to be given back with the answer; -1 where there is none.
    int32_t file;
    /// Requests were lost: the kernel let them pass.
    int32_t overflowed;
};

/// A fanotify group that is asked before programs of marked file systems are executed, non-blocking; or minus an errno.
int kiln_exec_guard(void);

/// From now on it is asked about programs of the file system that `path` is on. 0 or an errno. The mark goes with the
/// file system.
int kiln_exec_guard_add(int guard, const char *path);

/// Requests that wait for an answer; how many, or minus an errno.
int kiln_exec_guard_read(int guard, struct kiln_exec_request *requests, int capacity);

/// Answers and closes `file`. 0 or an errno.
int kiln_exec_guard_answer(int guard, int file, int allow);

/// An inotify instance, non-blocking, or minus an errno.
int kiln_file_watch(void);

/// Tells of writes to a file and to its attributes. The number of the watch, or minus an errno.
int kiln_file_watch_add(int watch, const char *path);

/// Forgets a watch; one that went with its file is forgotten already.
void kiln_file_watch_remove(int watch, int number);

/// Watches that something happened to; how many, or minus an errno. -1 among them: some were lost.
int kiln_file_watch_next(int watch, int *numbers, int capacity);

/// Whether an open file has some of the bytes from `start` on of what its file system lies on (FIEMAP): 1, 0, or minus
/// an errno.
int kiln_file_has_bytes(int file, uint64_t start, uint64_t length);

#endif
