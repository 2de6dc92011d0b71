/// The answers that debconf gives when nobody is asked (debconf-devel(7)).
enum Debconf {
    /// The part of a package's templates that its answers follow from; most of them is text in many languages.
    static func essence(_ templates: String) -> String {
        let fields = ["Template:", "Type:", "Default:"]
        let lines = templates.utf8.split(separator: 0x0a, omittingEmptySubsequences: false).filter { line in
            line.isEmpty || fields.contains { line.starts(with: $0.utf8) }
        }
        return lines.map { String(Substring($0)) }.joined(separator: "\n")
    }

    static func defaults(_ templates: String) -> [String: String] {
        var answers: [String: String] = [:]
        for paragraph in (try? ControlParagraph.parse(templates, place: "templates")) ?? [] {
            guard let name = paragraph["Template"] else { continue }
            answers[name] = paragraph["Default"] ?? (paragraph["Type"] == "boolean" ? "false" : "")
        }
        return answers
    }
}
