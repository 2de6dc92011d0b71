internal import FoundationEssentials
internal import Glibc
internal import Model

/// The one HAProxy of a root: a master in a session of its own, which outlives us, and its workers.
struct ProxyProcess: Sendable {
    let root: HostRoot
    let watch: ProcessWatch

    private static let watchName = "/proxy"
    private static let pause: UInt32 = 2000

    private var file: String { root.proxy + "/process.json" }
    var socket: ProxySocket { ProxySocket(path: root.proxySocket) }
    private var masterSocket: ProxySocket { ProxySocket(path: root.proxyMasterSocket) }

    /// The master, if it lives.
    var master: LiveProcess? {
        Files.read(file).flatMap { try? JSONDecoder().decode(LiveProcess.self, from: Data($0)) }.flatMap {
            $0.isAlive ? $0 : nil
        }
    }

    /// Watches the master that a former life of ours started.
    func attach() { if let master { watch.watch(ProxyProcess.watchName, [master]) } }

    /// Asks HAProxy whether a file is fit to be used.
    func check(_ configuration: String) throws {
        let result = try ProcessRunner().runNow(
            Command("haproxy", ["-c", "-q", "-f", configuration]), limit: Limit.proxyCheck)
        guard result.status == 0 else {
            throw Failure(
                .commandFailed,
                "HAProxy refuses its configuration: \((result.errors + result.output).prefix(1000))",
                at: configuration)
        }
    }

    /// Starts master and worker, and returns when the worker answers. What a killed master left is to be killed before.
    func start(_ configuration: String) throws {
        try check(configuration)
        unlink(root.proxySocket)
        unlink(root.proxyMasterSocket)
        let null = Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC))
        // Its messages would grow without a bound; what is wrong with a file, the check above says.
        let child = try Child.start(
            Command("haproxy", ["-W", "-S", "\(root.proxyMasterSocket),mode,600", "-f", configuration]),
            input: null.number, output: null.number, errors: null.number, newSession: true)
        guard let process = LiveProcess(child.pid) else {
            _ = child.wait()
            throw Failure(.commandFailed, "HAProxy ended at once", at: configuration)
        }
        try Files.replace(file, with: Array(JSONEncoder().encode(process)), durably: false)
        watch.forget(ProxyProcess.watchName)
        watch.watch(ProxyProcess.watchName, [process])
        let deadline = Monotonic.now + Limit.proxyStart.milliseconds
        repeat {
            if workerID != nil { return }
            guard process.isAlive else { break }
            usleep(ProxyProcess.pause)
        } while Monotonic.now < deadline
        process.signal(SIGKILL)
        killRest()
        throw Failure(.commandFailed, "HAProxy did not start", at: configuration)
    }

    /// Replaces the worker by one with the file as it is now; listening sockets and open connections are kept. `last`
    /// is told what the old worker counts, up to the moment when the new one takes over.
    func reload(_ configuration: String, last: (ProxyStatistics) -> Void) throws {
        try check(configuration)
        // By the master: on the workers' common socket, one of an earlier reload may still answer.
        guard let master, let old = workers.present else {
            throw Failure(.commandFailed, "HAProxy is gone", at: configuration)
        }
        master.signal(SIGUSR2)
        let deadline = Monotonic.now + Limit.proxyReload.milliseconds
        while Monotonic.now < deadline {
            if let seen = try? statistics() {
                if seen.worker == old { last(seen) } else if isAlone(seen.worker) { return }
            }
            guard master.isAlive else { break }
            usleep(ProxyProcess.pause)
        }
        throw Failure(.commandFailed, "HAProxy did not take its new configuration", at: configuration)
    }

    /// Whether a worker is the present one and no other takes commands any more. A command or a reload before that
    /// would be lost with the worker that got it.
    private func isAlone(_ worker: String) -> Bool {
        let (present, old) = workers
        guard let present, present == worker else { return false }
        return old.allSatisfy { pid in
            guard let info = try? masterSocket.ask("@!\(pid) show info") else { return false }
            // One that is gone by now says nothing of itself.
            return info.contains("Stopping: 1") || !info.contains("Stopping: ")
        }
    }

    func statistics() throws -> ProxyStatistics { try ProxyStatistics(socket.ask(ProxyStatistics.question)) }

    func stop() {
        watch.forget(ProxyProcess.watchName)
        if let master {
            master.signal(SIGTERM)
            let deadline = Monotonic.now + Limit.proxyStop.milliseconds
            while master.isAlive, Monotonic.now < deadline { usleep(ProxyProcess.pause) }
            master.signal(SIGKILL)
            while master.isAlive, Monotonic.now < deadline { usleep(ProxyProcess.pause) }
            waitpid(master.pid, nil, WNOHANG)
        }
        killRest()
        for path in [root.proxySocket, root.proxyMasterSocket, root.proxyGateSocket, file] { unlink(path) }
    }

    /// The process number of the worker that answers; nil where none does.
    private var workerID: Substring? {
        guard let answer = try? socket.ask("show info") else { return nil }
        return answer.split(separator: "\n").first { $0.hasPrefix("Pid:") }
    }

    /// Workers from before a reload that still finish requests.
    var oldWorkers: [Substring] { workers.old }

    /// By `show proc` of the master.
    private var workers: (present: Substring?, old: [Substring]) {
        guard let answer = try? masterSocket.ask("show proc") else { return (nil, []) }
        var section: Substring = ""
        var present: Substring?
        var old: [Substring] = []
        for row in answer.split(separator: "\n") {
            if row.hasPrefix("#") {
                section = row
            } else if let pid = row.split(separator: " ").first {
                if section.hasPrefix("# workers") { present = pid }
                if section.hasPrefix("# old workers") { old.append(pid) }
            }
        }
        return (present, old)
    }

    /// What an old worker still carries.
    func statistics(ofOldWorker pid: Substring) -> ProxyStatistics? {
        (try? masterSocket.ask("@!\(pid) show stat")).map { ProxyStatistics($0) }
    }

    /// Kills whatever still works with this root's configuration file, and waits until it is gone: it may hold ports.
    func killRest() {
        let configuration = root.proxy + "/haproxy.cfg"
        let rest = LiveProcess.all().filter { process in
            process.pid != getpid() && process.arguments.first?.hasSuffix("haproxy") == true
                && process.arguments.contains(configuration)
        }.compactMap { LiveProcess($0.pid) }
        for process in rest { process.signal(SIGKILL) }
        let deadline = Monotonic.now + Limit.proxyStop.milliseconds
        for process in rest {
            while process.isAlive, Monotonic.now < deadline { usleep(ProxyProcess.pause) }
            waitpid(process.pid, nil, WNOHANG)
        }
    }
}
