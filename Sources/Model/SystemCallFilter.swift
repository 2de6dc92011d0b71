/// The system calls that an instance, or a step of a bake in its sandbox, may make. Everything else fails with EPERM, as if it were not permitted.
///
/// An allow-list by name for ordinary server programs. What is missing on purpose: mounting, namespaces, modules,
/// kexec, keyrings, bpf, ptrace of others, perf, clocks that would be set, swap, quotas, raw I/O ports, userfaultfd,
/// io_uring (it goes around this filter).
package enum SystemCallFilter {
    private static let names = """
        accept accept4 access alarm arch_prctl bind brk capget capset chdir chmod chown clock_getres clock_gettime
        clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
        epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat
        exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown
        fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate
        futex futex_wait futex_waitv futex_wake futex_requeue futimesat get_mempolicy get_robust_list get_thread_area
        getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid
        getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid
        gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy
        io_getevents io_pgetevents io_setup io_submit ioprio_get ioprio_set kill landlock_add_rule
        landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr
        lremovexattr lseek lsetxattr lstat madvise map_shadow_stack mbind membarrier memfd_secret mincore
        mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open
        mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
        name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
        pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6
        pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages
        removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
        rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
        sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
        sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget
        semop semtimedop sendfile sendmmsg sendmsg sendto set_mempolicy set_mempolicy_home_node set_robust_list
        set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid
        setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown
        sigaltstack signalfd signalfd4 splice stat statfs statx symlink symlinkat sync sync_file_range
        syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
        timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat
        utimes vfork vmsplice wait4 waitid write writev
        """.split(whereSeparator: \.isWhitespace).map(String.init)

    /// What a service may ask for by name with `allow`. What is in neither list, no instance gets: it would give the
    /// host away.
    package static let onRequest = [
        "add_key", "chroot", "fanotify_init", "fanotify_mark", "io_uring_enter", "io_uring_register",
        "io_uring_setup", "kcmp", "keyctl", "perf_event_open", "pidfd_getfd", "process_madvise",
        "process_vm_readv", "process_vm_writev", "ptrace", "request_key", "userfaultfd",
    ]

    /// Whether every instance may make a call, at least with ordinary arguments.
    package static func isUsual(_ call: String) -> Bool {
        names.contains(call)
            || ["clone", "memfd_create", "socket", "socketpair", "personality", "ioctl"].contains(call)
    }

    /// CLONE_NEWNS … CLONE_NEWNET, CLONE_NEWTIME aside, which shares its bit with the exit signal.
    private static let namespaceFlags = 0x7e02_0000
    /// The kernel looks at 32 bits of these arguments: a comparison of 64 would let more through.
    private static let word = 0xffff_ffff
    /// AF_UNIX, AF_INET, AF_INET6. No server needs the kernel's cryptography (AF_ALG), raw frames (AF_PACKET), the
    /// hypervisor (AF_VSOCK) or any of the other forty, where most faults of the last years were.
    private static let socketFamilies = [unixSockets, 2, 10]
    private static let unixSockets = 1
    /// AF_NETLINK, for asking about addresses and routes (NETLINK_ROUTE) only.
    private static let (netlink, routes) = (16, 0)
    /// NETLINK_AUDIT. `groupadd` and `login` do without it where the kernel does not know it, and end where it is denied.
    private static let audit = 9
    private static let noSuchProtocol = 93
    private static let packets = 17
    /// memfd_create(2): a file in memory that can be executed.
    private static let executableMemory = 0x10
    /// Put characters into a terminal's input as if somebody had typed them.
    private static let (typeCharacter, pasteSelection) = (0x5412, 0x541c)
    /// personality(2): Linux, 32-bit Linux, no address randomisation for either, and the question.
    private static let personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffff_ffff]
    private static let noSuchCall = 38

    private static var architecture: String {
        #if arch(arm64)
            "SCMP_ARCH_AARCH64"
        #else
            "SCMP_ARCH_X86_64"
        #endif
    }

    /// The condition that some bits of an argument have a value.
    private struct Condition {
        var index: Int
        var mask = SystemCallFilter.word
        var value: Int

        var json: String {
            #"{"index":\#(index),"value":\#(mask),"valueTwo":\#(value),"op":"SCMP_CMP_MASKED_EQ"}"#
        }
    }

    private static func list(_ names: [String]) -> String {
        "[" + names.map { "\"\($0)\"" }.joined(separator: ",") + "]"
    }

    private static func rule(_ name: String, _ conditions: Condition..., failing error: Int? = nil) -> String
    {
        let action = error.map { #""SCMP_ACT_ERRNO","errnoRet":\#($0)"# } ?? #""SCMP_ACT_ALLOW""#
        return #"{"names":["\#(name)"],"action":\#(action),"args":["#
            + conditions.map(\.json).joined(separator: ",") + "]}"
    }

    /// Allows an ioctl whose number is neither of the two. Filters know no "differs in these bits", but "is", so each
    /// rule takes the numbers that differ in one bit; those that share the two's high bits are taken by the low ones.
    private static let terminalRules: [String] = {
        let shared = typeCharacter & ~0xf
        let high = (4..<32).map { bit in
            rule("ioctl", Condition(index: 1, mask: 1 << bit, value: ~shared & 1 << bit))
        }
        let low = (0..<16).filter { ![typeCharacter, pasteSelection].contains(shared | $0) }.map { low in
            rule("ioctl", Condition(index: 1, value: shared | low))
        }
        return high + low
    }()

    /// The `linux.seccomp` part of a runtime configuration (OCI runtime-spec, config-linux.md), as JSON.
    package static let configuration = compose([])

    /// The same with what a service asked for.
    package static func configuration(allowing allowed: [Allowance]) -> String {
        allowed.isEmpty ? configuration : compose(allowed)
    }

    private static func compose(_ allowed: [Allowance]) -> String {
        let asked = allowed.systemCalls.filter(Set(onRequest).contains)
        var rules = [
            #"{"names":\#(list(names + asked)),"action":"SCMP_ACT_ALLOW"}"#,
            rule("clone", Condition(index: 0, mask: namespaceFlags, value: 0)),
            // Programs fall back to clone, whose flags can be looked at.
            #"{"names":["clone3"],"action":"SCMP_ACT_ERRNO","errnoRet":\#(noSuchCall)}"#,
            rule("memfd_create", Condition(index: 1, mask: executableMemory, value: 0)),
            rule("socket", Condition(index: 0, value: netlink), Condition(index: 2, value: routes)),
            rule(
                "socket", Condition(index: 0, value: netlink), Condition(index: 2, value: audit),
                failing: noSuchProtocol),
        ]
        let families = socketFamilies + (allowed.capabilities.contains(.netRaw) ? [packets] : [])
        rules += families.map { rule("socket", Condition(index: 0, value: $0)) }
        // The kernel loads what a family needs for a pair as well.
        rules.append(rule("socketpair", Condition(index: 0, value: unixSockets)))
        rules += personalities.map { rule("personality", Condition(index: 0, value: $0)) }
        rules += terminalRules
        return #"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"architectures":["\#(architecture)"],"#
            + #""syscalls":[\#(rules.joined(separator: ","))]}"#
    }
}
