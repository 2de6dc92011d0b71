internal import CLinux
internal import Glibc
internal import Logging
internal import Model
internal import Synchronization

/// Reads the files of images again and again, block by block, so slowly that nobody notices, and one that was written to
/// at once; tells of the first block that is not what was made.
final class ImagePatrol: Sendable {
    struct Finding: Sendable {
        var image: Digest
        /// The file that has other bytes, by its number.
        var inode: UInt
        /// The first block that is not what was made; nil where it is another file altogether.
        var block: Int?
        /// The first file of the image that lies in that block; nil where none does.
        var path: String?
        /// The file system that was mounted of it, and that instances run from; nil where none was.
        var device: UInt64?

        /// - Parameter mount: where the image is mounted now
        init(_ image: Digest, inode: UInt, block: Int? = nil, mount: String) {
            (self.image, self.inode, self.block) = (image, inode, block)
            path = block.flatMap { ImagePatrol.file(in: mount, block: $0) }
            var info = stat()
            if Files.isMountPoint(mount), stat(mount, &info) == 0 { device = UInt64(info.st_dev) }
        }

        /// What differs, in few words.
        var subject: String { path ?? block.map { "block \($0)" } ?? "the file" }
    }

    private struct State {
        var isStopped = false
        /// To be read whole, and now.
        var urgent: Set<Digest> = []
        /// Those that were found altered, until there is another file.
        var altered: [Digest: UInt] = [:]
        var thread: pthread_t?
        var tell: (@Sendable (Finding) -> Void)?
    }

    private enum Limit {
        /// Bytes that are read a second while nothing calls for more: half a percent of a processor.
        static let bytesEachSecond = 8 << 20
        static let chunk = 1 << 20
        /// Milliseconds between two rounds where there is nothing to read.
        static let idle = 5000
        /// Files of an image that are asked where they lie, once a block is known to be altered.
        static let files = 200_000
    }

    private let root: HostRoot
    private let log: Logger
    private let state = Mutex(State())
    private let flag = Descriptor(kiln_event_flag())

    init(_ root: HostRoot, log: Logger) {
        self.root = root
        self.log = log
    }

    func start(_ tell: @escaping @Sendable (Finding) -> Void) {
        state.withLock { $0.tell = tell }
        let held = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { held in
                Unmanaged<ImagePatrol>.fromOpaque(held!).takeRetainedValue().run()
                return nil
            }, held.toOpaque())
        if code == 0 { state.withLock { $0.thread = thread } } else { held.release() }
    }

    func stop() {
        let thread = state.withLock { state in
            state.isStopped = true
            state.tell = nil
            defer { state.thread = nil }
            return state.thread
        }
        guard let thread else { return }
        wake()
        pthread_join(thread, nil)
    }

    /// Has an image read whole and at once: somebody wrote to its file.
    func hurry(_ image: Digest) {
        state.withLock { _ = $0.urgent.insert(image) }
        wake()
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(flag.number, &one, 8)
    }

    // MARK: The thread

    private func run() {
        while !state.withLock({ $0.isStopped }) {
            let images = Files.names(in: root.images).filter { $0.hasSuffix(".erofs") }.compactMap {
                try? Digest(hex: String($0.dropLast(6)))
            }
            for image in images { read(image, isUrgent: false) }
            // A round of small images, or of none, is over before there is anything new to see.
            pause(Limit.idle)
        }
    }

    /// Waits; what became urgent meanwhile is read.
    private func pause(_ milliseconds: Int) {
        let deadline = Monotonic.now + milliseconds
        while !state.withLock({ $0.isStopped }) {
            let urgent = state.withLock { state in
                defer { state.urgent = [] }
                return state.urgent
            }
            for image in urgent { read(image, isUrgent: true) }
            let rest = deadline - Monotonic.now
            guard rest > 0 else { return }
            var wait = pollfd(fd: flag.number, events: Int16(POLLIN), revents: 0)
            if poll(&wait, 1, Int32(rest)) > 0 {
                var count: UInt64 = 0
                _ = Glibc.read(flag.number, &count, 8)
            }
        }
    }

    private func read(_ image: Digest, isUrgent: Bool) {
        guard let seal = ImageSeal(reading: root.imageSeal(image)) else { return }
        let file = Descriptor(open(root.imageFile(image), O_RDONLY | O_CLOEXEC))
        var info = stat()
        // Another file is being put in its place, or was; the next launch looks at that.
        guard file.number >= 0, fstat(file.number, &info) == 0, UInt(info.st_ino) == seal.inode,
            state.withLock({ $0.altered[image] != seal.inode })
        else { return }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Limit.chunk, alignment: 4096)
        defer { buffer.deallocate() }
        let blocksAtOnce = Limit.chunk / BlockTree.block
        for first in stride(from: 0, to: seal.tree.count, by: blocksAtOnce) {
            if let block = differing(file, from: first, seal.tree, buffer) {
                return found(image, file: file, block: block, seal)
            }
            if !isUrgent {
                // What was read is not kept from others: memory is for those who need it.
                posix_fadvise(
                    file.number, off_t(first * BlockTree.block), off_t(Limit.chunk), POSIX_FADV_DONTNEED)
                pause(1000 * Limit.chunk / Limit.bytesEachSecond)
                if state.withLock({ $0.isStopped }) { return }
            }
        }
        // Whatever was written behind its end is no part of what was made either.
        var byte: UInt8 = 0
        if seal.tree.count > 0, pread(file.number, &byte, 1, off_t(seal.tree.count * BlockTree.block)) > 0 {
            found(image, file: file, block: seal.tree.count, seal)
        }
    }

    /// The first block of a chunk that is not what was made, looked at twice.
    private func differing(
        _ file: Descriptor, from first: Int, _ tree: BlockTree, _ buffer: UnsafeMutableRawBufferPointer
    ) -> Int? {
        let count = pread(file.number, buffer.baseAddress, buffer.count, off_t(first * BlockTree.block))
        for block in first..<min(tree.count, first + Limit.chunk / BlockTree.block) {
            let start = (block - first) * BlockTree.block
            let end = min(max(count, 0), start + BlockTree.block)
            if start < end, tree.holds(UnsafeRawBufferPointer(rebasing: buffer[start..<end]), at: block) {
                continue
            }
            let again = pread(
                file.number, buffer.baseAddress! + start, BlockTree.block, off_t(block * BlockTree.block))
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[start..<(start + max(0, again))])
            if again <= 0 || !tree.holds(bytes, at: block) { return block }
        }
        return nil
    }

    private func found(_ image: Digest, file: Descriptor, block: Int, _ seal: ImageSeal) {
        let tell = state.withLock { state in
            state.altered[image] = seal.inode
            return state.tell
        }
        log.error("an image was altered on disk", metadata: ["image": "\(image.short)", "block": "\(block)"])
        tell?(Finding(image, inode: seal.inode, block: block, mount: root.imageMount(image)))
    }

    /// The path in an image of the file that lies in a block of its file system; nil where it is none of a file: a
    /// folder's, or the file system's own.
    static func file(in mount: String, block: Int) -> String? {
        var folders = [mount]
        var looked = 0
        while let folder = folders.popLast(), looked < Limit.files {
            for name in Files.names(in: folder) {
                looked += 1
                let path = "\(folder)/\(name)"
                var info = stat()
                guard lstat(path, &info) == 0 else { continue }
                if info.st_mode & S_IFMT == S_IFDIR {
                    folders.append(path)
                } else if info.st_mode & S_IFMT == S_IFREG {
                    let file = Descriptor(open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC))
                    let start = UInt64(block * BlockTree.block)
                    if file.number >= 0, kiln_file_has_bytes(file.number, start, UInt64(BlockTree.block)) == 1
                    {
                        return String(path.dropFirst(mount.count))
                    }
                }
            }
        }
        return nil
    }
}
