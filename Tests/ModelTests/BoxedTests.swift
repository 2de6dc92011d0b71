import Foundation
import Testing

@testable import Model

@Suite struct BoxedTests {
    private struct Letter: Hashable, Codable {
        var to = "you"
        @Boxed var enclosed: [Int]?
        @Boxed var text = "hello"
    }

    @Test func `a box is written as the value in it, and read from a text that does not name it`() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        var letter = Letter()
        #expect(
            String(decoding: try encoder.encode(letter), as: UTF8.self) == #"{"text":"hello","to":"you"}"#)
        letter.enclosed = [1, 2]
        let written = try encoder.encode(letter)
        #expect(String(decoding: written, as: UTF8.self) == #"{"enclosed":[1,2],"text":"hello","to":"you"}"#)
        #expect(try JSONDecoder().decode(Letter.self, from: written) == letter)
    }

    @Test func `copies share a box until one is changed`() {
        let first = Letter()
        var second = first
        #expect(first == second && first.hashValue == second.hashValue)
        second.enclosed = []
        #expect(first != second && first.enclosed == nil)
    }
}
