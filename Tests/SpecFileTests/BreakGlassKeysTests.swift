import Model
import SpecFile
import Testing

@Suite struct BreakGlassKeysTests {
    private func problems(_ text: String) -> [String] {
        do {
            _ = try HostPolicy.parse(text, file: "policy.yaml")
            return []
        } catch {
            return Failure.list(error).map { "\($0.place ?? ""): \($0.message)" }
        }
    }

    @Test func `a host's policy names users by number, and may name nothing else`() throws {
        let alone = try HostPolicy.parse("break-glass: {allow: [uid:0, uid:1000]}\n", file: "policy.yaml")
        #expect(alone.breakGlass == BreakGlassRule(allow: [0, 1000]) && alone.rules.required.isEmpty)
        let both = try HostPolicy.parse(
            "require: [signature]\nbreak-glass: {allow: [uid:7]}\n", file: "policy.yaml")
        #expect(both.breakGlass?.allow == [7] && both.rules.required.count == 1)
        #expect(try HostPolicy.parse("require: [signature]\n", file: "p").breakGlass == nil)
    }

    @Test(arguments: ["alice", "1000", "uid:", "uid:-1", "uid:4294967295", "uid:99999999999", "uid:1 "])
    func `what is no user's number is named with its line`(text: String) {
        let found = problems("require: [signature]\nbreak-glass: {allow: [\"\(text)\"]}\n")
        #expect(found.count == 1 && found[0].hasPrefix("policy.yaml:2: an entry of allow is"), "\(found)")
    }

    @Test(arguments: [
        "break-glass: {}", "break-glass: {allow: []}", "break-glass: yes", "break-glass: {alow: [uid:0]}",
    ])
    func `a rule with a slip lets nobody in by mistake: it is refused`(text: String) {
        #expect(!problems(text + "\n").isEmpty)
    }
}
