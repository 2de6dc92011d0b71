internal import Glibc
internal import Model

/// What this process has mounted where, as the kernel tells it (proc_pid_mountinfo(5)).
enum MountTable {
    private enum Limit {
        /// Thousands of mounts.
        static let bytes = 16 << 20
    }

    /// The file that is mounted at a folder as an EROFS, the newest mount where there are several; nil where there is
    /// none.
    static func source(of folder: String) -> String? {
        guard let table = Files.text("/proc/self/mountinfo", limit: Limit.bytes) else { return nil }
        return source(of: folder, in: table).flatMap { name in
            // Where the kernel wants a device, it knows the file behind it.
            guard name.hasPrefix("/dev/loop") else { return name }
            let path = "/sys/block/\(name.dropFirst(5))/loop/backing_file"
            return Files.text(path).map { $0.hasSuffix("\n") ? String($0.dropLast()) : $0 }
        }
    }

    static func source(of folder: String, in table: String) -> String? {
        var found: String?
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ")
            // Optional fields end with a dash; the type and the source follow.
            guard fields.count > 6, unescaped(fields[4]) == folder,
                let dash = fields[6...].firstIndex(of: "-"), dash + 2 < fields.endIndex
            else { continue }
            found = fields[dash + 1] == "erofs" ? unescaped(fields[dash + 2]) : nil
        }
        return found
    }

    /// `\040` is a space; so are tab, newline and backslash written.
    private static func unescaped(_ field: Substring) -> String {
        var (bytes, rest) = ([UInt8](), field.utf8[...])
        while let byte = rest.first {
            if byte == UInt8(ascii: "\\"),
                let code = UInt8(String(rest.dropFirst().prefix(3)) ?? "", radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(4)
            } else {
                bytes.append(byte)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
