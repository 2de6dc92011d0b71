import Glibc

/// A regular expression of POSIX, basic or extended, as grep and sed read it. The C library matches it: the programs
/// that scripts would have called do the same.
final class POSIXPattern {
    private var compiled = regex_t()

    /// Nil where the text is no expression.
    init?(_ text: String, isExtended: Bool, ignoresCase: Bool = false) {
        var flags = isExtended ? REG_EXTENDED : 0
        if ignoresCase { flags |= REG_ICASE }
        guard regcomp(&compiled, text, flags) == 0 else { return nil }
    }

    /// Whether anything in a line fits.
    func fits(_ line: ArraySlice<UInt8>) -> Bool {
        line.withUnsafeBytes { line in
            var place = regmatch_t(rm_so: 0, rm_eo: regoff_t(line.count))
            let start = line.baseAddress?.assumingMemoryBound(to: CChar.self)
            return start.map { regexec(&compiled, $0, 0, &place, REG_STARTEND) == 0 }
                ?? (regexec(&compiled, "", 0, &place, REG_STARTEND) == 0)
        }
    }

    deinit { regfree(&compiled) }

    /// The whole match and its groups, the first from `start` on; nil where nothing fits.
    func match(_ bytes: [UInt8], from start: Int = 0) -> [Range<Int>?]? {
        var places = [regmatch_t](repeating: regmatch_t(), count: 10)
        places[0].rm_so = regoff_t(start)
        places[0].rm_eo = regoff_t(bytes.count)
        let text = bytes.map { CChar(bitPattern: $0) } + [0]
        // Its own beginning is no beginning of a line.
        let flags = REG_STARTEND | (start > 0 ? REG_NOTBOL : 0)
        guard regexec(&compiled, text, places.count, &places, flags) == 0 else { return nil }
        return places.map { $0.rm_so < 0 ? nil : Int($0.rm_so)..<Int($0.rm_eo) }
    }
}
