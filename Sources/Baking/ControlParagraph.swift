import Model

/// One paragraph of Debian's control format (deb822(5)): fields in their order, values with their continuation lines.
struct ControlParagraph: Hashable, Sendable {
    struct Field: Hashable, Sendable {
        var name: String
        /// As written, continuation lines included, without the leading space and the last newline.
        var value: String
        /// Line in the text, counted from 1.
        var line: Int
    }

    private(set) var fields: [Field]

    init(fields: [Field]) { self.fields = fields }

    /// A field by its name, whose case does not matter.
    subscript(name: String) -> String? {
        let wanted = name.lowercased()
        return fields.first { $0.name.lowercased() == wanted }?.value
    }

    /// The words of a field, over all its lines.
    func words(_ name: String) -> [String] {
        (self[name] ?? "").split(whereSeparator: { $0.isWhitespace }).map(String.init)
    }

    /// The names that a relation field (`Replaces`, `Provides`) lists, without versions and architectures.
    func packageNames(_ name: String) -> Set<String> {
        let rows = (self[name] ?? "").split { $0 == "," || $0 == "|" }
        return Set(
            rows.compactMap { row in
                row.drop { $0.isWhitespace }.split { $0.isWhitespace || $0 == "(" || $0 == ":" || $0 == "[" }
                    .first.map(String.init)
            })
    }

    /// Reads paragraphs separated by blank lines. Lines that begin with `#` are comments.
    static func parse(_ text: String, place: String) throws -> [ControlParagraph] {
        var paragraphs: [ControlParagraph] = []
        var fields: [Field] = []
        func failure(_ line: Int, _ why: String) -> Failure {
            Failure(
                .corruptArchive, why, at: "\(place):\(line)",
                suggestion: "write `Name: value`, as in deb822(5)")
        }
        for (index, rawLine) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = rawLine.last == "\r" ? rawLine.dropLast() : rawLine
            if line.first == "#" { continue }
            if line.allSatisfy(\.isWhitespace) {
                if !fields.isEmpty { paragraphs.append(ControlParagraph(fields: fields)) }
                fields = []
            } else if line.first == " " || line.first == "\t" {
                guard !fields.isEmpty else {
                    throw failure(index + 1, "a continuation line continues nothing")
                }
                fields[fields.count - 1].value += "\n" + line
            } else {
                guard let colon = line.firstIndex(of: ":"), colon > line.startIndex,
                    !line[..<colon].contains(where: \.isWhitespace)
                else { throw failure(index + 1, "the line is not a field") }
                let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
                fields.append(Field(name: String(line[..<colon]), value: String(value), line: index + 1))
            }
        }
        if !fields.isEmpty { paragraphs.append(ControlParagraph(fields: fields)) }
        return paragraphs
    }

    /// The paragraph as a dpkg status entry: with `Status: install ok installed` after the package's name.
    var statusEntry: String {
        var lines: [String] = []
        for field in fields where field.name.lowercased() != "status" {
            lines.append(
                field.value.first == "\n" ? "\(field.name):\(field.value)" : "\(field.name): \(field.value)")
            if field.name.lowercased() == "package" { lines.append("Status: install ok installed") }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
