/// The members of an entry that the index names, found in its bytes without making a value of them: a whole log is
/// looked through so. Bytes that are no entry have none of them.
struct LedgerBody {
    private let bytes: UnsafeRawBufferPointer
    private var members = [Range<Int>](repeating: 0..<0, count: Member.allCases.count)

    enum Member: Int, CaseIterable {
        case at, evidence, image, instance, kind, release, service

        static let names = allCases.map { Array("\($0)".utf8) }
    }

    private static let quote = UInt8(ascii: "\"")
    private static let backslash = UInt8(ascii: "\\")

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        var position = 0
        var depth = 0
        var name: Range<Int>?
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: ","): if depth == 1 { name = nil }
            case LedgerBody.quote:
                let text = LedgerBody.text(bytes, after: position)
                position = text.upperBound
                guard depth == 1 else { break }
                if let name {
                    take(text, as: name)
                } else {
                    name = text
                }
            default: break
            }
            position += 1
        }
    }

    /// What is between quotes, as it is written: what is looked for needs no escapes.
    private static func text(_ bytes: UnsafeRawBufferPointer, after quote: Int) -> Range<Int> {
        var end = quote + 1
        while end < bytes.count, bytes[end] != LedgerBody.quote {
            end += bytes[end] == backslash ? 2 : 1
        }
        return quote + 1..<min(max(end, quote + 1), bytes.count)
    }

    private mutating func take(_ text: Range<Int>, as name: Range<Int>) {
        let found = bytes[name]
        for (number, wanted) in Member.names.enumerated()
        where wanted.count == found.count && wanted.elementsEqual(found) {
            members[number] = text
        }
    }

    private subscript(_ member: Member) -> UnsafeRawBufferPointer.SubSequence {
        bytes[members[member.rawValue]]
    }

    /// When it was done, as it is written; empty where it does not say.
    var at: String { String(decoding: self[.at], as: UTF8.self) }

    /// The names under which the index has the entry, one after another in the same room.
    func forEachSubject(in room: inout [UInt8], _ body: (borrowing [UInt8]) throws -> Void) rethrows {
        for (member, prefix) in LedgerSubject.prefixes where !self[member].isEmpty {
            if member == .release, self[.service].isEmpty { continue }
            room.removeAll(keepingCapacity: true)
            room += prefix
            if member == .release {
                room += self[.service]
                room.append(UInt8(ascii: " "))
            }
            room += self[member]
            try body(room)
        }
    }
}

/// What entries are asked for by: `kind:deploy`, `service:hello`, `release:hello r3`, `image:sha256:…`.
enum LedgerSubject {
    static let prefixes: [(LedgerBody.Member, [UInt8])] = [
        .kind, .service, .release, .instance, .image, .evidence,
    ].map { ($0, Array("\($0):".utf8)) }

    static func name(_ member: LedgerBody.Member, _ value: String) -> String { "\(member):\(value)" }
}
