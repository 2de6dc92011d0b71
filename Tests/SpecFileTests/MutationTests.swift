import Model
import Testing

@testable import SpecFile

/// SplitMix64: the same seed gives the same mutations on every machine.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct MutationTests {
    private static let fragments = [
        "\t", "\n", "  ", ":", "- ", "[", "]", "{", "}", "\"", "'", "&a ", "*a", "<<: ", "? ", "| ", ">-\n",
        "!!int ",
        "#", "---\n", "...\n", "\u{0}", "\u{FEFF}", "\u{E000}", "é", "🧱", "\r\n", "\u{2028}", "%YAML 1.1\n",
        "~",
        "null", "0", "-1", "99999999999999999999", "1.5", "/", "..", "service: x\n", "\\", "@", "`",
        "\u{301}",
    ]

    private static func mutated(_ text: String, _ random: inout Seeded) -> String {
        var scalars = Array(text.unicodeScalars)
        for _ in 1...Int.random(in: 1...4, using: &random) where !scalars.isEmpty {
            let at = Int.random(in: 0..<scalars.count, using: &random)
            let end = min(scalars.count, at + Int.random(in: 0...12, using: &random))
            switch Int.random(in: 0...4, using: &random) {
            case 0: scalars.removeSubrange(at..<end)
            case 1:
                scalars.insert(contentsOf: fragments.randomElement(using: &random)!.unicodeScalars, at: at)
            case 2: scalars.insert(contentsOf: scalars[at..<end], at: Int.random(in: 0...at, using: &random))
            case 3: scalars[at] = Unicode.Scalar(UInt8.random(in: 0...255, using: &random))
            default: scalars.removeSubrange(at...)
            }
        }
        return String(String.UnicodeScalarView(scalars))
    }

    @Test(arguments: 1...8)
    func `a mutated spec is read or refused with a line of the file, and never crashes`(_ seed: Int) throws {
        var random = Seeded(state: UInt64(seed))
        let sources =
            try [SoundSpec.text]
            + ["hello", "redis", "python", "canary", "rolling", "build"].map {
                try Repository.text("examples/\($0)/kiln.yaml")
            }
        for round in 0..<500 {
            let text = MutationTests.mutated(sources[round % sources.count], &random)
            do {
                _ = try SpecFile.parse(text, file: "kiln.yaml")
            } catch {
                let failures = try #require(error as? Failures, "\(error): \(text.debugDescription)").all
                let lines = text.unicodeScalars.count { $0.properties.isWhitespace } + 2
                for failure in failures {
                    let place = try #require(failure.place)
                    let line = try #require(Int(place.dropFirst("kiln.yaml:".count)), "\(place)")
                    #expect((1...lines).contains(line), "\(failure): \(text.debugDescription)")
                    #expect(failure.code == .invalidSpec && failure.suggestion != nil)
                    let texts = failure.message + (failure.suggestion ?? "")
                    #expect(!texts.contains { $0.isNewline }, "\(failure)")
                }
            }
        }
    }

    @Test func `aliases cannot make much out of little`() {
        let levels = (1...9).map { "a\($0): &a\($0) [*a\($0 - 1), *a\($0 - 1), *a\($0 - 1)]" }
        let bomb = (["a0: &a0 [x, x, x]"] + levels + ["? [*a9]", ": x", "? [*a9]", ": x"]).joined(
            separator: "\n")
        #expect(
            problems(bomb) == ["4: more than 8 YAML aliases (*name) → write the values out instead"])
    }

    @Test func `a few aliases stand for what they name`() throws {
        let text = SoundSpec.with(line: 7, "  command: [a]\n  environment: &all {A: b}")
            .replacing("config: {GREETING: hello}", with: "config: *all")
        let spec = try SpecFile.parse(text, file: "kiln.yaml")
        #expect(spec.run.config == spec.image.environment)
    }

    @Test func `size, nesting and number of values are bounded`() {
        let depth = String(repeating: "[", count: 900) + String(repeating: "]", count: 900)
        let deep = problems(SoundSpec.with(line: 5, "  packages: \(depth)"))
        #expect(deep.contains("5: more than 16 levels inside each other → a spec needs five at most"))
        let wide = problems(
            SoundSpec.with(line: 5, "  packages: [\(String(repeating: "a1,", count: 30_000))]"))
        #expect(wide.contains { $0.contains("more than 20000 values") }, "\(wide.prefix(3))")
        #expect(
            problems(String(repeating: "a", count: Bounds.documentBytes + 1)) == [
                "1: the file has 1048577 bytes; 1 MiB is the most → keep data out of it: name files under "
                    + "`files:` instead"
            ])
        #expect(problems(String(repeating: "[", count: 100_000)).count == 1)
        #expect(problems(String(repeating: "- ", count: 100_000)).count == 1)
        let repeated = problems(String(repeating: "a: 1\n", count: 100_000))
        #expect(repeated.count == 1 && repeated[0].contains("a key is given twice"), "\(repeated)")
        let many = problems(
            SoundSpec.with(line: 5, (1...200).map { "  wrong\($0): x" }.joined(separator: "\n")))
        #expect(many.count == 101 && many.last?.contains("more problems are not shown") == true)
    }

    @Test(arguments: ["", "\n", "# nothing\n", "---\n", "~", "hello", "[]", "\u{FEFF}", "kiln"])
    func `what holds no settings is refused`(_ text: String) { #expect(!problems(text).isEmpty) }

    @Test(arguments: ["\r\n", "\n"])
    func `line ends of both kinds count alike`(_ end: String) {
        let text = SoundSpec.with(line: 9, "  replicas: 0\n  replicas: 2").replacing("\n", with: end)
        #expect(
            problems(text) == [
                "9: replicas is 0; 1…1000 are allowed → use `kiln retire` to stop a service",
                "10: \"replicas\" is given twice, first on line 9 → keep one of the two",
            ])
    }
}
