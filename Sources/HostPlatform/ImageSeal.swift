internal import Crypto
internal import Glibc
internal import Model

/// Which file it is and when somebody last wrote to it or to its attributes: the kernel sets the time of change itself,
/// so what is equal has not been written to since.
struct FileIdentity: Hashable, Sendable {
    let device: UInt
    let inode: UInt
    let size: Int
    let modified: [Int]
    let changed: [Int]

    /// nil where there is no such file.
    init?(_ path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return nil }
        (device, inode, size) = (UInt(info.st_dev), UInt(info.st_ino), Int(info.st_size))
        modified = [info.st_mtim.tv_sec, info.st_mtim.tv_nsec]
        changed = [info.st_ctim.tv_sec, info.st_ctim.tv_nsec]
    }
}

/// What the file system of an image was when it was made: the root of the tree over its blocks, and the file that is
/// mounted.
struct ImageSeal: Hashable, Sendable {
    let root: Model.Digest
    let inode: UInt
    /// The hashes that `root` stands for; they have a file of their own.
    let tree: BlockTree

    private enum Limit {
        static let bytes = 4096
        /// The hashes of an image of a terabyte.
        static let leaves = 512 << 20
        static let chunk = 1 << 20
    }

    /// Reads the whole file.
    init(of path: String) throws {
        let file = Descriptor(open(path, O_RDONLY | O_CLOEXEC))
        guard file.number >= 0 else { throw SystemFailure.failure(errno, "cannot open", at: path) }
        var info = stat()
        guard fstat(file.number, &info) == 0 else {
            throw SystemFailure.failure(errno, "cannot read", at: path)
        }
        posix_fadvise(file.number, 0, 0, POSIX_FADV_SEQUENTIAL)
        var tree = BlockTree()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Limit.chunk, alignment: 4096)
        defer { buffer.deallocate() }
        var isAtEnd = false
        while !isAtEnd {
            var held = 0
            while held < buffer.count, !isAtEnd {
                let count = Glibc.read(file.number, buffer.baseAddress! + held, buffer.count - held)
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw SystemFailure.failure(errno, "cannot read", at: path) }
                isAtEnd = count == 0
                held += count
            }
            for start in stride(from: 0, to: held, by: BlockTree.block) {
                tree.append(
                    UnsafeRawBufferPointer(rebasing: buffer[start..<min(held, start + BlockTree.block)]))
            }
        }
        (self.tree, root, inode) = (tree, tree.root, UInt(info.st_ino))
    }

    /// nil where none can be read, and where its parts do not belong together: what has none was not finished.
    init?(reading path: String) {
        guard let bytes = Files.read(path, limit: Limit.bytes), let json = try? JSONValue(parsing: bytes),
            json["block"]?.number == BlockTree.block,
            let root = json["root"]?.text.flatMap({ try? Model.Digest(hex: $0) }),
            let inode = json["inode"]?.number.flatMap({ UInt(exactly: $0) }),
            let leaves = Files.read(ImageSeal.leaves(of: path), limit: Limit.leaves),
            let tree = BlockTree(leaves: leaves), tree.root == root
        else { return nil }
        (self.root, self.inode, self.tree) = (root, inode, tree)
    }

    /// The first block that is not the same; nil where all are.
    func firstDifference(from other: ImageSeal) -> Int? {
        if self == other { return nil }
        let (own, others) = (tree.leaves, other.tree.leaves)
        let place = zip(own, others).enumerated().first { $0.element.0 != $0.element.1 }?.offset
        return (place ?? min(own.count, others.count)) / BlockTree.hash
    }

    /// Where the hashes are that belong to a seal.
    static func leaves(of path: String) -> String { path + ".blocks" }

    /// The hashes first: a seal without them is none.
    func write(to path: String) throws {
        try Files.replace(ImageSeal.leaves(of: path), with: tree.leaves, durably: true)
        let json = JSONValue.object([
            "root": .string(root.hex), "block": .number(BlockTree.block),
            "inode": .number(Int(truncatingIfNeeded: inode)),
        ])
        try Files.replace(path, with: json.bytes, durably: true)
    }

    /// Whether there are both parts of a seal, without a look at what is in them.
    static func exists(_ path: String) -> Bool { Files.exists(path) && Files.exists(leaves(of: path)) }

    /// Makes a seal out of one by an earlier Kiln, which hashed a file as a whole, where the file still has those bytes.
    /// Otherwise there is none afterwards, and the image is made anew.
    static func renew(_ path: String, of file: String) throws {
        guard let bytes = Files.read(path, limit: Limit.bytes), let json = try? JSONValue(parsing: bytes),
            let sha256 = json["sha256"]?.text.flatMap({ try? Model.Digest(hex: $0) })
        else { return }
        let seal = try ImageSeal(of: file)
        guard json["inode"]?.number == Int(truncatingIfNeeded: seal.inode), try whole(file) == sha256 else {
            return remove(path)
        }
        try seal.write(to: path)
    }

    private static func whole(_ path: String) throws -> Model.Digest {
        let file = Descriptor(open(path, O_RDONLY | O_CLOEXEC))
        guard file.number >= 0 else { throw SystemFailure.failure(errno, "cannot open", at: path) }
        var hash = SHA256()
        while let chunk = Files.read(file.number, limit: Limit.chunk), !chunk.isEmpty {
            hash.update(data: chunk)
        }
        return Model.Digest(bytes: hash.finalize())
    }

    static func remove(_ path: String) {
        unlink(path)
        unlink(leaves(of: path))
    }
}
