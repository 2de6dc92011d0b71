import Model

/// What a loader reads first of an ELF file: for which machine it is, its name and what it needs.
package struct ELFObject: Hashable, Sendable {
    package enum Class: Hashable, Sendable { case bits32, bits64 }

    package static let machineX86_64 = 62
    package static let machineAArch64 = 183

    package var elfClass: Class
    package var machine: Int
    /// 2 a program at a fixed place, 3 a library or a position-independent program.
    package var type: Int
    package var soname: String?
    package var needed: [String]

    private enum Limit {
        static let programHeaders = 1024
        static let dynamicEntries = 4096
        static let nameBytes = 255
    }

    /// Nil where the bytes are no little-endian ELF file, or a damaged one.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 52, bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]), bytes[5] == 1 else {
            return nil
        }
        guard bytes[4] == 1 || bytes[4] == 2 else { return nil }
        let is64 = bytes[4] == 2
        func number(_ offset: Int, _ size: Int) -> Int? {
            guard offset >= 0, offset <= bytes.count - size else { return nil }
            var value: UInt64 = 0
            for byte in bytes[offset..<offset + size].reversed() { value = value << 8 | UInt64(byte) }
            return Int(exactly: value)
        }
        let word = is64 ? 8 : 4
        guard let type = number(16, 2), let machine = number(18, 2), let table = number(is64 ? 32 : 28, word),
            let size = number(is64 ? 54 : 42, 2), let count = number(is64 ? 56 : 44, 2),
            count <= Limit.programHeaders
        else { return nil }
        elfClass = is64 ? .bits64 : .bits32
        self.machine = machine
        self.type = type
        soname = nil
        needed = []

        struct Segment {
            var offset, address, size: Int
        }
        var loaded: [Segment] = []
        var dynamic: Segment?
        for index in 0..<count {
            let start = table.addingReportingOverflow(index * size)
            guard !start.overflow, let kind = number(start.partialValue, 4),
                let offset = number(start.partialValue + (is64 ? 8 : 4), word),
                let address = number(start.partialValue + (is64 ? 16 : 8), word),
                let length = number(start.partialValue + (is64 ? 32 : 16), word)
            else { return nil }
            let segment = Segment(offset: offset, address: address, size: length)
            if kind == 1 { loaded.append(segment) }
            if kind == 2 { dynamic = segment }
        }
        // A static program has no dynamic part, and no names.
        guard let dynamic else { return }
        var strings: Int?
        var sonameAt: Int?
        var neededAt: [Int] = []
        for index in 0..<min(dynamic.size / (2 * word), Limit.dynamicEntries) {
            let start = dynamic.offset.addingReportingOverflow(index * 2 * word)
            guard !start.overflow, start.partialValue < bytes.count,
                let tag = number(start.partialValue, word),
                let value = number(start.partialValue + word, word)
            else { continue }
            if tag == 0 { break }
            if tag == 1 { neededAt.append(value) }
            if tag == 5 { strings = value }
            if tag == 14 { sonameAt = value }
        }
        // The table's address in memory, brought back to its place in the file.
        guard let strings,
            let home = loaded.first(where: { strings >= $0.address && strings - $0.address < $0.size })
        else { return }
        let base = home.offset.addingReportingOverflow(strings - home.address)
        func text(_ offset: Int) -> String? {
            let start = base.partialValue.addingReportingOverflow(offset)
            guard !base.overflow, !start.overflow, start.partialValue >= 0, start.partialValue < bytes.count
            else {
                return nil
            }
            let window = bytes[start.partialValue...].prefix(Limit.nameBytes + 1)
            guard let end = window.firstIndex(of: 0), end > window.startIndex else { return nil }
            return String(validating: window[..<end], as: UTF8.self)
        }
        soname = sonameAt.flatMap(text)
        needed = neededAt.compactMap(text)
    }
}
