internal import CLinux
internal import Glibc
internal import Logging
internal import Model

/// What the kernel tells of by itself, where it does: programs that are executed anywhere on this host, and writes to
/// the files of images. Where a kernel cannot tell, the looks alone do.
final class SentinelEvents {
    private let sentinel: Sentinel
    private(set) var executions: Descriptor
    private let files: Descriptor
    /// Images by the number of the watch on their file.
    private var images: [Int32: (image: Digest, inode: UInt)] = [:]

    private enum Limit {
        /// Processes that are looked at before everything else gets its turn.
        static let batch: Int = 256
        /// Milliseconds of one wait.
        static let longest = 60_000
    }

    init(_ sentinel: Sentinel) {
        self.sentinel = sentinel
        executions = Descriptor(kiln_process_events())
        files = Descriptor(kiln_file_watch())
        for (what, file) in [("programs that are executed", executions), ("writes to images", files)]
        where file.number < 0 {
            sentinel.log.notice(
                "the kernel does not tell of some events; looks alone find them",
                metadata: ["events": "\(what)", "error": "\(SystemFailure.text(-file.number))"])
        }
    }

    /// Has writes to the files of these instances' images told.
    func cover(_ all: [Sentinel.Watched]) {
        for image in Set(all.map(\.record.image)) {
            // One that was made anew is another file under the same name.
            guard let inode = FileIdentity(sentinel.root.imageFile(image))?.inode,
                !images.values.contains(where: { $0.image == image && $0.inode == inode })
            else { continue }
            let number = kiln_file_watch_add(files.number, sentinel.root.imageFile(image))
            if number >= 0 { images[number] = (image, inode) }
        }
    }

    /// Images that are watched.
    var count: Int { images.count }

    /// Waits, and has looked at whatever was told. True where something was lost: everything has to be looked at.
    func wait(flag: Int32, limit: Int, _ look: InstanceLook) -> Bool {
        var waits = [flag, executions.number, files.number].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        guard poll(&waits, nfds_t(waits.count), Int32(min(limit, Limit.longest))) > 0 else { return false }
        if waits[0].revents != 0 {
            var count: UInt64 = 0
            _ = read(flag, &count, 8)
        }
        if waits[2].revents != 0 { readFiles() }
        return waits[1].revents != 0 && readExecutions(look)
    }

    private func readExecutions(_ look: InstanceLook) -> Bool {
        for _ in 0..<Limit.batch {
            let pid = kiln_next_exec(executions.number)
            if pid == 0 { return false }
            if pid < 0 {
                sentinel.log.notice(
                    "events were lost; everything is looked at", metadata: ["events": "executions"])
                // Anything else than a queue that was too short will not mend itself.
                if pid != -ENOBUFS { executions = Descriptor(-1) }
                return true
            }
            look.atProcess(pid)
        }
        return false
    }

    private func readFiles() {
        var numbers = [Int32](repeating: 0, count: Limit.batch)
        let count = kiln_file_watch_next(files.number, &numbers, Int32(Limit.batch))
        guard count > 0 else { return }
        let touched = Set(numbers[..<Int(count)])
        for (number, file) in images where touched.contains(number) || touched.contains(-1) {
            if FileIdentity(sentinel.root.imageFile(file.image))?.inode != file.inode {
                images[number] = nil
                // One that was only renamed is there still, and would be watched for ever.
                kiln_file_watch_remove(files.number, number)
            }
            sentinel.patrol.hurry(file.image)
        }
    }
}
