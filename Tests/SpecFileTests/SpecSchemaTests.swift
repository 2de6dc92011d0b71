import Foundation
import Testing

@testable import SpecFile

@Suite struct SpecSchemaTests {
    @Test func `the schema in the repository is the one that the parser's keys make`() throws {
        #expect(try Repository.golden("docs/kiln.schema.json", is: SpecSchema.text))
    }

    @Test func `the schema is JSON, and every key in it is explained`() throws {
        let whole = try JSONSerialization.jsonObject(with: Data(SpecSchema.text.utf8))
        var properties = 0
        func visit(_ value: Any) throws {
            if let list = value as? [Any] { try list.forEach(visit) }
            guard let object = value as? [String: Any] else { return }
            for (name, property) in object["properties"] as? [String: [String: Any]] ?? [:] {
                properties += 1
                #expect((property["description"] as? String)?.hasSuffix(".") == true, "\(name)")
            }
            try object.values.forEach(visit)
        }
        try visit(whole)
        #expect(properties > 40)
    }

    @Test func `text in JSON is escaped`() {
        #expect(JSON.text("a\"b\\c\n").pretty == #""a\"b\\c\u000a""#)
    }
}
