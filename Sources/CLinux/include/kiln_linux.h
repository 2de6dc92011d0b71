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
/// 0 or an errno. The calling thread stays where it is.
int kiln_mount_namespace(const char *const *covers, const char *const *unmounts, int *namespace_fd);

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

/// Makes a network namespace that lives as long as its descriptor or a process in it, and a route socket inside.
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

#endif
