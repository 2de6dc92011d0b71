/// The system calls that an instance may make. Everything else fails with EPERM, as if it were not permitted.
///
/// An allow-list by name for ordinary server programs. What is missing on purpose: mounting, namespaces, modules,
/// kexec, keyrings, bpf, ptrace of others, perf, clocks that would be set, swap, quotas, raw I/O ports, userfaultfd,
/// io_uring (it goes around this filter).
enum SystemCallFilter {
    private static let names = """
        accept accept4 access alarm arch_prctl bind brk capget capset chdir chmod chown clock_getres clock_gettime
        clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
        epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat
        exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown
        fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate
        futex futex_wait futex_waitv futex_wake futex_requeue futimesat get_mempolicy get_robust_list get_thread_area
        getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid
        getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid
        gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy
        io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule
        landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr
        lremovexattr lseek lsetxattr lstat madvise map_shadow_stack mbind membarrier memfd_create memfd_secret mincore
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
        sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink symlinkat sync sync_file_range
        syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
        timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat
        utimes vfork vmsplice wait4 waitid write writev
        """.split(whereSeparator: \.isWhitespace).map(String.init)

    /// CLONE_NEWNS … CLONE_NEWNET, CLONE_NEWTIME aside, which shares its bit with the exit signal.
    private static let namespaceFlags = 0x7e02_0000
    /// AF_VSOCK reaches the hypervisor.
    private static let hypervisorSockets = 40
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

    /// The `linux.seccomp` part of a runtime configuration (OCI runtime-spec, config-linux.md).
    static let configuration: String = {
        func rule(_ names: [String], index: Int, value: Int, mask: Int? = nil, _ comparison: String)
            -> JSONText
        {
            var argument: [(String, JSONText)] = [("index", .number(index)), ("value", .number(value))]
            if let mask { argument.append(("valueTwo", .number(mask))) }
            argument.append(("op", .text(comparison)))
            return ["names": .texts(names), "action": "SCMP_ACT_ALLOW", "args": [.object(argument)]]
        }
        var rules: [JSONText] = [
            ["names": .texts(names), "action": "SCMP_ACT_ALLOW"],
            rule(["clone"], index: 0, value: namespaceFlags, mask: 0, "SCMP_CMP_MASKED_EQ"),
            // Programs fall back to clone, whose flags can be looked at.
            ["names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": .number(noSuchCall)],
            rule(["socket"], index: 0, value: hypervisorSockets, "SCMP_CMP_NE"),
        ]
        for value in personalities {
            rules.append(rule(["personality"], index: 0, value: value, "SCMP_CMP_EQ"))
        }
        let filter: JSONText = [
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": [.text(architecture)],
            "syscalls": .list(rules),
        ]
        return filter.encoded
    }()
}
