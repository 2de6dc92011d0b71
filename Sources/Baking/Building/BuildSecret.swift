import Glibc
import ImageFormat
import Model

/// A file that a build step may read. Its bytes are never written to a disk, nor shown.
struct BuildSecret {
    /// On this host.
    let path: String
    /// In the step's root.
    let target: String
    private let content: [UInt8]

    private enum Limit {
        static let bytes = 1 << 20
        /// Shorter texts occur by chance.
        static let tellingBytes = 8
    }

    /// Throws where there is no such file. `home`: what `~` stands for.
    init(_ secret: BuildStep.Secret, specFolder: String, home: String?, place: String) throws {
        target = secret.to
        if secret.from.hasPrefix("~/") {
            guard let home else {
                throw Failure(
                    .fileMissing, "there is no home to look for \(secret.from) in", at: place,
                    suggestion: "set HOME, or write the whole path")
            }
            path = home + secret.from.dropFirst()
        } else if secret.from.hasPrefix("/") {
            path = secret.from
        } else {
            let below = BelowFolder(root: specFolder, folder: secret.folder)
            close(try below.open(secret.from, place: place))
            path = [specFolder, secret.folder, secret.from].filter { !$0.isEmpty }.joined(separator: "/")
        }
        guard HostFiles.exists(path) else {
            throw Failure(
                .fileMissing, "there is no secret at \(path)", at: place,
                suggestion: "make the file, or mend `from`")
        }
        do {
            content = try HostFiles.read(path, limit: Limit.bytes)
        } catch let failure as Failure {
            throw Failure(
                failure.code, "the secret cannot be read: \(failure.message)", at: place,
                suggestion: "a secret is a file of at most \(ByteCount(bytes: Limit.bytes))")
        }
    }

    private var trimmed: [UInt8] {
        var bytes = content[...]
        while let last = bytes.last, [0x0a, 0x0d, 0x20].contains(last) { bytes.removeLast() }
        return bytes.count < Limit.tellingBytes ? [] : Array(bytes)
    }

    /// Whether some bytes hold all of it, as it stands in its file.
    func isIn(_ bytes: [UInt8]) -> Bool {
        let own = trimmed
        guard let first = own.first else { return false }
        return bytes.withUnsafeBytes { whole in
            guard let start = whole.baseAddress else { return false }
            let end = start + whole.count
            var place = start
            while end - place >= own.count, let found = memchr(place, Int32(first), end - place) {
                place = UnsafeRawPointer(found)
                if end - place >= own.count, memcmp(place, own, own.count) == 0 { return true }
                place += 1
            }
            return false
        }
    }

    /// A text without it and without its lines.
    func hidden(in text: String) -> String {
        let whole = String(decoding: trimmed, as: UTF8.self)
        return ([whole] + whole.split(separator: "\n").map(String.init))
            .filter { $0.utf8.count >= Limit.tellingBytes }
            .reduce(text) { $0.replacing($1, with: "***") }
    }
}
