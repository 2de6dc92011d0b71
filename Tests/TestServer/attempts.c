// What an intruder would try from inside an instance. Each attempt says whether it was blocked; nothing of it harms a
// host on which it succeeds.
#include "attempts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/reboot.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most_children = 4096, scratch_bytes = 64 << 20 };

static int neighbour;
static const char *daemon_socket, *proxy_socket;

// An attempt succeeds where the kernel said yes.
static int call(long number, long a, long b, long c, long d) { return syscall(number, a, b, c, d) >= 0; }

static int can_open(const char *path, int flags) {
    int file = open(path, flags | O_CLOEXEC, 0600);
    if (file < 0) return 0;
    close(file);
    return 1;
}

static int has_bytes(const char *path) {
    char byte;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t count = read(file, &byte, 1);
    close(file);
    return count == 1;
}

static int can_write(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t count = write(file, text, strlen(text));
    close(file);
    return count > 0;
}

static int has_family(long family, long type, long protocol) {
    long file = syscall(SYS_socket, family, type, protocol);
    if (file < 0) return 0;
    close((int)file);
    return 1;
}

static int reaches(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0 || strlen(path) >= sizeof address.sun_path) return 0;
    strcpy(address.sun_path, path);
    int result = connect(file, (struct sockaddr *)&address, sizeof address);
    close(file);
    return result == 0;
}

// Runs a body in a child, so that what it changes or breaks is gone with it; its exit code says whether it succeeded.
static int in_child(int (*body)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) return 0;
    if (child == 0) _exit(body() ? 42 : 0);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

// MARK: Files

static int write_root(void) { return can_open("/attempt", O_WRONLY | O_CREAT); }
static int write_program(void) { return can_open("/bin/testserver", O_WRONLY); }
static int write_hosts(void) { return can_open("/etc/hosts", O_WRONLY); }
static int remount_root(void) { return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0; }
static int remount_scratch(void) { return mount(NULL, "/run", NULL, MS_REMOUNT | MS_BIND, NULL) == 0; }
static int mount_memory(void) { return mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0; }
static int mount_processes(void) { return mount("proc", "/run", "proc", 0, NULL) == 0; }
static int mount_groups(void) { return mount("cgroup", "/run", "cgroup", 0, "memory") == 0; }
static int unmount(void) { return umount2("/proc/sys", MNT_DETACH) == 0; }
static int new_mount(void) { return call(SYS_fsopen, (long)"tmpfs", 0, 0, 0); }
static int copy_mounts(void) { return call(SYS_open_tree, AT_FDCWD, (long)"/", 1, 0); }
static int pivot(void) { return call(SYS_pivot_root, (long)"/run", (long)"/run", 0, 0); }
static int change_root(void) { return chroot("/run") == 0; }
static int make_disk(void) { return mknod("/run/disk", S_IFBLK | 0600, makedev(254, 0)) == 0; }
static int make_memory(void) { return mknod("/run/mem", S_IFCHR | 0600, makedev(1, 1)) == 0; }
static int raw_disk(void) {
    const char *names[] = {"/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/loop0", "/dev/mem", "/dev/kmsg", "/dev/fuse"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (can_open(names[i], O_RDONLY)) return 1;
    }
    return 0;
}
// The way out of early containers: a file of the host by its number, past every mount.
static int by_handle(void) {
    struct {
        unsigned int bytes;
        int type;
        unsigned char handle[8];
    } root = {8, 1, {2, 0, 0, 0, 0, 0, 0, 0}};
    int folder = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
    return call(SYS_open_by_handle_at, folder, (long)&root, O_RDONLY, 0);
}
static int kernel_memory(void) { return has_bytes("/proc/kcore"); }
static int kernel_keys(void) { return has_bytes("/proc/keys"); }
static int core_pattern(void) { return can_open("/proc/sys/kernel/core_pattern", O_WRONLY); }
static int memory_programs(void) { return can_write("/proc/sys/vm/memfd_noexec", "0"); }
static int system_request(void) { return can_open("/proc/sysrq-trigger", O_WRONLY); }
static int group_files(void) {
    return mkdir("/sys/fs/cgroup/attempt", 0700) == 0 || mkdir("/sys/attempt", 0700) == 0;
}
// A device on a file system of the instance's own is its to change; the host's is not.
static int is_hosts(int file) {
    struct stat own, device;
    return stat("/dev", &own) == 0 && fstat(file, &device) == 0 && own.st_dev != device.st_dev;
}
static int bend_null(void) {
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    return is_hosts(file) && (chmod("/dev/null", 0666) == 0 || fchmod(file, 0666) == 0);
}
static int own_null(void) { return is_hosts(open("/dev/null", O_RDWR)) && chown("/dev/null", getuid(), getgid()) == 0; }
static int bend_streams(void) {
    for (int file = 0; file < 3; file++) {
        struct stat info;
        if (fstat(file, &info) == 0 && S_ISCHR(info.st_mode) && is_hosts(file) && fchmod(file, 0666) == 0) return 1;
    }
    return 0;
}

// MARK: Other processes

static int see_neighbour(void) { return neighbour > 0 && kill(neighbour, 0) == 0; }
static int trace_neighbour(void) { return ptrace(PTRACE_ATTACH, neighbour, NULL, NULL) == 0; }
static int trace_own(void) { return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0; }
static int read_memory(void) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)daemon_socket, 1};
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}
static int read_environment(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", neighbour);
    return has_bytes(path);
}
static int take_descriptor(void) {
    int process = (int)syscall(SYS_pidfd_open, getpid(), 0);
    return call(SYS_pidfd_getfd, process, 0, 0, 0);
}

// MARK: The kernel

static int load_module(void) { return call(SYS_init_module, (long)"", 0, (long)"", 0) || errno == ENOEXEC; }
static int load_module_file(void) { return call(SYS_finit_module, 0, (long)"", 0, 0) || errno == ENOEXEC; }
static int load_kernel(void) { return call(SYS_kexec_load, 0, 0, 0, 0); }
static int restart(void) { return call(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_CAD_OFF, 0); }
static int load_filter(void) { return call(SYS_bpf, 0, 0, 0, 0) || errno != EPERM; }
static int count_events(void) { return call(SYS_perf_event_open, 0, 0, 0, 0) || errno != EPERM; }
static int handle_faults(void) { return call(SYS_userfaultfd, 1, 0, 0, 0); }
static int ring(void) { return call(SYS_io_uring_setup, 1, 0, 0, 0) || errno != EPERM; }
static int key_ring(void) { return call(SYS_keyctl, 1, 0, 0, 0); }
static int add_a_key(void) { return call(SYS_add_key, (long)"user", (long)"attempt", (long)"x", 1); }
static int set_time(void) { return call(SYS_settimeofday, 0, 0, 0, 0); }
static int set_name(void) { return call(SYS_sethostname, (long)"attempt", 7, 0, 0); }
static int swap(void) { return call(SYS_swapoff, (long)"/run", 0, 0, 0); }
static int accounting(void) { return call(SYS_acct, 0, 0, 0, 0); }
static int kernel_log(void) { return call(SYS_syslog, 10, 0, 0, 0); }
static int fixed_addresses(void) { return personality(0x40000) != -1; }
#ifdef SYS_iopl
static int ports(void) { return call(SYS_iopl, 3, 0, 0, 0) || call(SYS_ioperm, 0x80, 1, 1, 0); }
#else
static int ports(void) { return 0; }
#endif

// MARK: Rights

static int new_users(void) { return unshare(CLONE_NEWUSER) == 0; }
static int new_mounts(void) { return unshare(CLONE_NEWNS) == 0; }
static int new_network(void) { return unshare(CLONE_NEWNET) == 0; }
static int enter(void) {
    int file = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
    return file >= 0 && setns(file, 0) == 0;
}
static int clone_users(void) {
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    return child > 0;
}
static int become_root(void) { return getuid() != 0 && setuid(0) == 0; }
static int gain_capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{~0u, ~0u, 0}, {~0u, ~0u, 0}};
    return syscall(SYS_capset, &header, data) == 0;
}
static int regain_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0; }
static int set_user_program(void) {
    if (getuid() == 0) return 0;
    execl("/bin/setuid", "setuid", "whoami", (char *)NULL);
    return 0;
}
static int more_files(void) {
    struct rlimit limit = {1 << 30, 1 << 30};
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}
static int spare_me(void) { return can_write("/proc/self/oom_score_adj", "-1000"); }
static int core_limit(void) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_CORE, &limit) == 0;
}
static int dump_core(void) {
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (chdir("/run") == 0) abort();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WCOREDUMP(status);
}

// MARK: Programs that are not in the image

static int runs(int file) {
    char *arguments[] = {"attempt", "success", NULL}, *environment[] = {NULL};
    int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    static char buffer[1 << 16];
    if (file < 0 || own < 0) return 0;
    for (ssize_t count; (count = read(own, buffer, sizeof buffer)) > 0;) {
        if (write(file, buffer, (size_t)count) != count) return 0;
    }
    fchmod(file, 0700);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int reading = open(path, O_RDONLY);
    close(file);
    syscall(SYS_execveat, reading, "", arguments, environment, AT_EMPTY_PATH);
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, reading, 0) != MAP_FAILED && 0;
}
static int run_scratch(void) { return runs(open("/run/attempt", O_RDWR | O_CREAT | O_TRUNC, 0700)); }
static int run_shared(void) { return runs(open("/dev/shm/attempt", O_RDWR | O_CREAT | O_TRUNC, 0700)); }
static int run_memory(void) { return runs((int)syscall(SYS_memfd_create, "attempt", 0)); }
static int run_memory_asked(void) { return runs((int)syscall(SYS_memfd_create, "attempt", 0x10)); }

// MARK: The network

static int frames(void) { return has_family(AF_PACKET, SOCK_RAW, 0); }
static int raw_packets(void) { return has_family(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static int kernel_ciphers(void) { return has_family(AF_ALG, SOCK_SEQPACKET, 0); }
static int hypervisor(void) { return has_family(AF_VSOCK, SOCK_STREAM, 0); }
static int hypervisor_hidden(void) { return has_family(1L << 32 | AF_VSOCK, SOCK_STREAM, 0); }
static int firewall(void) { return has_family(AF_NETLINK, SOCK_RAW, 12); }
static int other_families(void) {
    int old[] = {AF_KEY, AF_BLUETOOTH, AF_CAN, AF_TIPC, AF_RDS, AF_SMC, AF_XDP, AF_KCM, AF_IEEE802154};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        if (has_family(old[i], SOCK_STREAM, 0) || has_family(old[i], SOCK_RAW, 0) || has_family(old[i], SOCK_DGRAM, 0)) {
            return 1;
        }
    }
    return 0;
}
static int lower_interface(void) {
    struct ifreq request = {.ifr_flags = 0};
    strcpy(request.ifr_name, "eth0");
    int file = socket(AF_INET, SOCK_DGRAM, 0);
    return ioctl(file, SIOCSIFFLAGS, &request) == 0;
}
static int reach_daemon(void) { return reaches(daemon_socket); }
static int reach_proxy(void) { return reaches(proxy_socket); }

// MARK: The terminal

static int type_into(unsigned long request) {
    int terminal = posix_openpt(O_RDWR);
    if (terminal < 0 || setsid() < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) return 0;
    int own = open(ptsname(terminal), O_RDWR);
    if (own < 0 || ioctl(own, TIOCSCTTY, 0) != 0) return 0;
    return syscall(SYS_ioctl, own, request, "x") == 0;
}
static int type_characters(void) { return type_into(TIOCSTI); }
static int type_hidden(void) { return type_into(1UL << 32 | TIOCSTI); }
static int paste(void) { return type_into(TIOCLINUX); }

// MARK: More than is due

static int fork_bomb(void) {
    int count = 0;
    for (; count < most_children; count++) {
        pid_t child = fork();
        if (child < 0) break;
        if (child == 0) {
            pause();
            _exit(0);
        }
    }
    // All of them end with the first process's group.
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    for (int rest = count; rest > 0 && wait(NULL) > 0;) rest--;
    return count == most_children;
}
static int own_group(int (*body)(void)) {
    setpgid(0, 0);
    return body();
}
static int bomb(void) { return own_group(fork_bomb); }
static int fill_scratch(void) {
    static char block[1 << 16];
    long written = 0;
    int file = open("/run/full", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) return 0;
    while (written < scratch_bytes && write(file, block, sizeof block) == sizeof block) written += sizeof block;
    close(file);
    unlink("/run/full");
    return written >= scratch_bytes;
}

static const struct {
    const char *name;
    int (*body)(void);
} attempts[] = {
    {"write to the root", write_root}, {"write to its own program", write_program},
    {"write to /etc/hosts", write_hosts}, {"remount the root", remount_root},
    {"remount scratch without noexec", remount_scratch}, {"mount a tmpfs", mount_memory},
    {"mount another proc", mount_processes}, {"mount control groups", mount_groups},
    {"unmount a cover of proc", unmount}, {"the new mount interface", new_mount},
    {"copy the mounts", copy_mounts}, {"pivot_root", pivot}, {"chroot", change_root},
    {"make a disk's node", make_disk}, {"make a node of the memory", make_memory}, {"open a raw device", raw_disk},
    {"open a file of the host by its handle", by_handle}, {"read the kernel's memory", kernel_memory},
    {"read the kernel's keys", kernel_keys}, {"write core_pattern", core_pattern},
    {"allow programs in memory again", memory_programs}, {"sysrq-trigger", system_request},
    {"write to control groups", group_files}, {"change the mode of /dev/null", bend_null},
    {"change the mode of its streams", bend_streams}, {"own /dev/null", own_null},
    {"signal a neighbour", see_neighbour}, {"trace a neighbour", trace_neighbour},
    {"trace a process of its own", trace_own}, {"read memory of a process", read_memory},
    {"read a neighbour's environment", read_environment}, {"take a descriptor", take_descriptor},
    {"load a module", load_module}, {"load a module from a file", load_module_file},
    {"load another kernel", load_kernel}, {"restart the host", restart}, {"bpf", load_filter},
    {"perf events", count_events}, {"userfaultfd", handle_faults}, {"io_uring", ring},
    {"join a key ring", key_ring}, {"add a key", add_a_key}, {"set the time", set_time},
    {"set the host's name", set_name}, {"turn swap off", swap}, {"process accounting", accounting},
    {"read the kernel's log", kernel_log}, {"fixed addresses", fixed_addresses}, {"raw ports", ports},
    {"a user namespace", new_users}, {"a mount namespace", new_mounts}, {"a network namespace", new_network},
    {"enter a namespace", enter}, {"clone with a user namespace", clone_users}, {"become root", become_root}, {"gain capabilities", gain_capabilities},
    {"gain privileges again", regain_privileges}, {"a setuid program", set_user_program},
    {"raise the limit of files", more_files}, {"be spared when memory is short", spare_me},
    {"raise the limit of core files", core_limit}, {"dump core", dump_core},
    {"run a program from scratch", run_scratch}, {"run a program from /dev/shm", run_shared},
    {"run a program from memory", run_memory}, {"run a program from memory made for it", run_memory_asked},
    {"raw frames", frames}, {"raw packets", raw_packets}, {"the kernel's ciphers", kernel_ciphers},
    {"the hypervisor", hypervisor}, {"the hypervisor by a longer number", hypervisor_hidden},
    {"the firewall", firewall}, {"rare kinds of sockets", other_families}, {"lower its interface", lower_interface},
    {"the daemon's socket", reach_daemon}, {"the proxy's socket", reach_proxy},
    {"type into a terminal", type_characters}, {"type into a terminal by a longer number", type_hidden},
    {"paste into a terminal", paste}, {"fork without end", bomb}, {"fill scratch without end", fill_scratch},
};

int try_everything(int count, char *const *arguments) {
    neighbour = count > 0 ? atoi(arguments[0]) : 0;
    daemon_socket = count > 1 ? arguments[1] : "";
    proxy_socket = count > 2 ? arguments[2] : "";
    signal(SIGPIPE, SIG_IGN);
    size_t all = sizeof attempts / sizeof *attempts, succeeded = 0;
    for (size_t i = 0; i < all; i++) {
        int success = in_child(attempts[i].body);
        succeeded += (size_t)success;
        printf("%s %s\n", success ? "SUCCEEDED" : "blocked", attempts[i].name);
    }
    printf("attempts %zu, succeeded %zu\n", all, succeeded);
    fflush(stdout);
    return succeeded > 0;
}

int take_all_memory(void) {
    enum { step = 1 << 20, most = 4096 };
    for (int i = 0; i < most; i++) {
        char *block = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) return 1;
        memset(block, 1, step);
    }
    return 0;
}
