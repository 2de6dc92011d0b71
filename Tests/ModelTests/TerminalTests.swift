import Foundation
import Model
import Testing

/// What people's screens may say of themselves.
@Suite struct TerminalTests {
    private func decoded(_ json: String) throws -> Session.Terminal {
        try JSONDecoder().decode(Session.Terminal.self, from: Data(json.utf8))
    }

    @Test func `a screen from outside is kept within the bounds of one that is made here`() throws {
        let wild = try decoded(
            #"{"columns": -5, "rows": 99999999, "type": "\#(String(repeating: "x", count: 999))"}"#)
        #expect(wild.columns == 1 && wild.rows == Session.Limit.terminalSide)
        #expect(wild.type.count == Session.Limit.terminalType)
        #expect(
            try decoded(#"{"columns": 80, "rows": 24, "type": "vt100"}"#)
                == Session.Terminal(columns: 80, rows: 24, type: "vt100"))
        #expect(throws: (any Error).self) { _ = try decoded(#"{"columns": 80, "rows": 24}"#) }
    }

    @Test func `no character of its type is one that a screen obeys`() throws {
        let odd = try decoded(#"{"columns": 80, "rows": 24, "type": "vt\u001b[2J\n100\u0000\u202e\u2028"}"#)
        #expect(odd.type == "vt[2J100")
        let encoded = try JSONEncoder().encode(odd)
        #expect(try JSONDecoder().decode(Session.Terminal.self, from: encoded) == odd)
    }
}
