import Testing

@testable import SpecFile

@Suite struct NearestTests {
    @Test(
        arguments: [
            ("replica", "replicas"), ("repilcas", "replicas"), ("Port", "port"), ("stop_grace", "stop-grace"),
            ("mem", "memory"), ("xyzzy", nil), ("", nil),
        ])
    func `a slip of the finger is recognised, and nothing else`(_ word: String, _ meant: String?) {
        let keys = ["replicas", "port", "stop-grace", "memory"]
        #expect(Nearest.match(word, among: keys) == meant)
    }

    @Test(arguments: [
        ("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3), ("abc", "abc", 0),
    ])
    func `distance counts single changes, the same in both directions`(
        _ left: String, _ right: String, _ changes: Int
    ) {
        #expect(Nearest.distance(Array(left), Array(right)) == changes)
        #expect(Nearest.distance(Array(right), Array(left)) == changes)
    }
}
