import Model

/// Everything wrong with a spec and the files that it includes, gathered while reading them to the end.
///
/// Lines count through all files: those of the second one begin where no line of the first can be. So a line says of
/// itself what file it is of.
struct Problems {
    private struct File {
        /// As messages say it.
        var name: String
        /// Where its own paths begin, from the folder of the spec.
        var folder: String
    }

    /// No file that is read has so many lines.
    private static let linesOfFile = Bounds.documentBytes * 2

    private var files: [File]
    private var found: [(line: Int, failure: Failure)] = []

    init(file: String) { files = [File(name: file, folder: "")] }

    var isEmpty: Bool { found.isEmpty }
    var count: Int { found.count }

    mutating func add(_ message: String, line: Int, suggestion: String) {
        found.append((line, Failure(.invalidSpec, message, at: place(line), suggestion: suggestion)))
    }

    /// Begins another file; gives what its lines are raised by.
    mutating func begin(file name: String, folder: String) -> Int {
        files.append(File(name: name, folder: folder))
        return (files.count - 1) * Problems.linesOfFile
    }

    /// Takes over what was found in one file, whose lines are raised.
    mutating func add(_ other: Problems, raised: Int) {
        found += other.found.map { ($0.line + raised, $0.failure) }
    }

    private func file(_ line: Int) -> File { files[min(line / Problems.linesOfFile, files.count - 1)] }

    /// `kiln.yaml:12`.
    private func place(_ line: Int) -> String { "\(file(line).name):\(line % Problems.linesOfFile)" }

    /// The folder that paths on this line begin in, from that of the spec.
    func folder(of line: Int) -> String { file(line).folder }

    func isOneFile(_ left: Int, _ right: Int) -> Bool {
        left / Problems.linesOfFile == right / Problems.linesOfFile
    }

    /// How a message at one line speaks of another: `line 12`, or `line 12 of base.yaml`.
    func mention(_ line: Int, at reader: Int) -> String {
        "line \(line % Problems.linesOfFile)" + (isOneFile(line, reader) ? "" : " of \(file(line).name)")
    }

    /// In the order of the files, at most `Bounds.problemsShown` of them. nil when nothing is wrong.
    var failures: Failures? {
        if found.isEmpty { return nil }
        let sorted = found.enumerated().sorted { ($0.element.line, $0.offset) < ($1.element.line, $1.offset) }
        var shown = sorted.prefix(Bounds.problemsShown).map(\.element.failure)
        if sorted.count > shown.count {
            shown.append(
                Failure(
                    .invalidSpec, "\(sorted.count - shown.count) more problems are not shown",
                    at: place(sorted[shown.count].element.line),
                    suggestion: "mend the ones above first"))
        }
        return Failures(shown)
    }
}

/// Text of the user's own as it may stand inside a message: on one line, short, and in quotes.
func quoted(_ text: String) -> String {
    var shown = ""
    for (index, character) in text.enumerated() {
        if index == 60 { return "\"\(shown)…\"" }
        let isControl = character.unicodeScalars.contains {
            $0.properties.generalCategory == .control || $0.properties.isWhitespace && $0 != " "
        }
        shown += isControl ? " " : String(character)
    }
    return "\"\(shown)\""
}

/// `a`, `a and b`, `a, b and c`.
func sentence(_ items: [String]) -> String {
    guard let last = items.last, items.count > 1 else { return items.first ?? "" }
    return items.dropLast().joined(separator: ", ") + " and " + last
}
