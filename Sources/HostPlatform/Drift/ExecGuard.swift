internal import CLinux
internal import Glibc
internal import Logging
internal import Model
internal import Synchronization

/// Is asked by the kernel before a program of an image is executed, and says no to a process that came into an instance
/// from outside. Everybody else may: instances, Kiln's own commands, whoever looks at a mounted image.
///
/// The asking process sleeps until the answer, so nothing here may wait: it reads /proc, takes locks that are held for
/// moments, and leaves what it found to the sentinel. Where this daemon dies, the kernel lets everything pass.
final class ExecGuard {
    private let sentinel: Sentinel
    private let group: Descriptor
    private let flag = Descriptor(kiln_event_flag())
    /// Takes the place of the group when it has to be given up, at a time when nothing may be left to open.
    private let spare = Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC))
    private var thread: pthread_t?
    private var covered: Set<LiveProcess> = []

    /// What its own thread needs, and nothing else.
    private final class Desk: Sendable {
        let sentinel: Sentinel
        let group: Descriptor
        let flag: Descriptor
        let spare: Descriptor

        init(_ sentinel: Sentinel, _ group: Descriptor, _ flag: Descriptor, _ spare: Descriptor) {
            (self.sentinel, self.group, self.flag, self.spare) = (sentinel, group, flag, spare)
        }
    }

    private enum Limit {
        static let batch = 64
        /// Characters of a path.
        static let path = 300
    }

    init(_ sentinel: Sentinel) {
        self.sentinel = sentinel
        let number = kiln_exec_guard()
        group = Descriptor(number)
        guard number >= 0, spare.number >= 0 else {
            sentinel.log.notice(
                "the kernel does not ask before programs are executed; nothing is denied",
                metadata: ["error": "\(SystemFailure.text(-number))"])
            return
        }
        let desk = Unmanaged.passRetained(Desk(sentinel, group, flag, spare))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { desk in
                ExecGuard.answer(Unmanaged<Desk>.fromOpaque(desk!).takeRetainedValue())
                return nil
            }, desk.toOpaque())
        if code == 0 { self.thread = thread } else { desk.release() }
    }

    /// Has the kernel ask about the images of these instances.
    func cover(_ all: [Sentinel.Watched]) {
        guard thread != nil else { return }
        let present = Set(all.map(\.process))
        covered.formIntersection(present)
        for watched in all where !covered.contains(watched.process) {
            covered.insert(watched.process)
            // By a descriptor that is known to be of the image: the number of a process that ended may be another's by now,
            // and the host's own programs are nobody's business here.
            let top = Descriptor(
                open("/proc/\(watched.process.pid)/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC))
            var info = stat()
            guard top.number >= 0, fstat(top.number, &info) == 0, let baseline = watched.baseline,
                UInt64(info.st_dev) == baseline.device
            else { continue }
            let code = kiln_exec_guard_add(group.number, "/proc/self/fd/\(top.number)")
            if code != 0, watched.process.isAlive {
                sentinel.log.notice(
                    "the programs of an instance are not guarded",
                    metadata: ["instance.id": "\(watched.id)", "error": "\(SystemFailure.text(code))"])
            }
        }
    }

    func stop() {
        guard let thread else { return }
        var one: UInt64 = 1
        _ = write(flag.number, &one, 8)
        pthread_join(thread, nil)
        self.thread = nil
    }

    // MARK: The answering thread

    private static func answer(_ desk: Desk) {
        var requests = [kiln_exec_request](repeating: kiln_exec_request(), count: Limit.batch)
        while true {
            var waits = [
                pollfd(fd: desk.flag.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: desk.group.number, events: Int16(POLLIN), revents: 0),
            ]
            if poll(&waits, 2, -1) < 0, errno != EINTR { return giveUp(desk, errno) }
            if waits[0].revents != 0 { return }
            let count = kiln_exec_guard_read(desk.group.number, &requests, Int32(Limit.batch))
            if count == -EMFILE || count == -ENFILE || count == -ENOMEM {
                // We could not be asked, and the kernel said no in our place; the next one may find room.
                desk.sentinel.log.warning(
                    "a program was denied for want of room",
                    metadata: ["error": "\(SystemFailure.text(-count))"])
                continue
            }
            if count < 0 { return giveUp(desk, -count) }
            for request in requests[..<Int(count)] { answer(request, desk) }
        }
    }

    /// Nobody may wait for an answer that never comes: without its group, the kernel lets everything pass.
    private static func giveUp(_ desk: Desk, _ code: Int32) {
        desk.sentinel.log.error(
            "no more programs are guarded", metadata: ["error": "\(SystemFailure.text(code))"])
        dup2(desk.spare.number, desk.group.number)
    }

    private static func answer(_ request: kiln_exec_request, _ desk: Desk) {
        if request.overflowed != 0 {
            desk.sentinel.log.notice(
                "events were lost; everything is looked at", metadata: ["events": "programs"])
            return desk.sentinel.look()
        }
        let crowd = desk.sentinel.crowd
        guard let view = ProcessView(request.pid), let place = crowd.places.instance(of: view),
            crowd.answer(for: view, at: place) == .foreign
        else {
            _ = kiln_exec_guard_answer(desk.group.number, request.file, 1)
            return
        }
        let program = view.programPath ?? "?"
        let wanted = ProcessFile.link("/proc/self/fd/\(request.file)") ?? "?"
        _ = kiln_exec_guard_answer(desk.group.number, request.file, 0)
        desk.sentinel.leave(
            Sentinel.Pending(
                drift: Drift.cut(
                    .process, program,
                    "process \(view.pid), which came from outside, was kept from executing "
                        + String(wanted.prefix(Limit.path)) + " in the instance",
                    expected: "a descendant of process \(crowd.all[place].process.pid)",
                    found: "a child of process \(view.parent)", source: .event),
                watched: crowd.all[place], path: wanted))
    }
}
