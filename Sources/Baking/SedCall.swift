/// The words of a call of `sed`.
struct SedCall {
    var script: String?
    var files: [String] = []
    private var isExtended = false
    private var isQuiet = false

    /// Nil for an option that is not understood.
    init?(_ arguments: [String]) {
        var scripts: [String] = []
        var rest = arguments[...]
        while let word = rest.popFirst() {
            if word == "-e" || word == "--expression" {
                guard let text = rest.popFirst() else { return nil }
                scripts.append(text)
            } else if word.hasPrefix("--expression=") {
                scripts.append(String(word.dropFirst(13)))
            } else if word == "--regexp-extended" {
                isExtended = true
            } else if word == "--quiet" || word == "--silent" {
                isQuiet = true
            } else if word == "--in-place" || word == "--follow-symlinks" || word.hasPrefix("-i") {
                if word.hasPrefix("-i"), word.count > 2, word != "-ie", word != "-ir" { continue }
                if word == "-ir" { isExtended = true }
                if word == "-ie", let text = rest.popFirst() { scripts.append(text) }
            } else if word.hasPrefix("-"), word.count > 1 {
                for flag in word.dropFirst() {
                    switch flag {
                    case "r", "E": isExtended = true
                    case "n": isQuiet = true
                    case "i", "u", "s": break
                    case "e":
                        guard let text = rest.popFirst() else { return nil }
                        scripts.append(text)
                    default: return nil
                    }
                }
            } else {
                files.append(word)
            }
        }
        if scripts.isEmpty {
            guard !files.isEmpty else { return nil }
            scripts = [files.removeFirst()]
        }
        script = scripts.joined(separator: "\n")
    }

    var editor: StreamEditor? {
        script.flatMap { StreamEditor($0, isExtended: isExtended, isQuiet: isQuiet) }
    }
}
