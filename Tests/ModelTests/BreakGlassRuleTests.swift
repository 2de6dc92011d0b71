import Model
import Testing

@Suite struct BreakGlassRuleTests {
    @Test(
        arguments: [
            (nil, 0, true), (nil, 500, true), (nil, 1000, false),
            ([1000], 1000, true), ([1000], 0, false), ([1000], 500, false), ([0, 1000], 0, true),
            ([], 0, false),
        ] as [([UInt32]?, UInt32, Bool)])
    func `a list is the whole list; without one root and the daemon's user may`(
        allow: [UInt32]?, user: UInt32, may: Bool
    ) {
        #expect(BreakGlassRule(allow: allow).allows(user, daemonUser: 500) == may)
    }

    @Test func `the socket is for others only where the list names some`() {
        #expect(!BreakGlassRule().namesOthers(than: 500))
        #expect(!BreakGlassRule(allow: [0, 500]).namesOthers(than: 500))
        #expect(BreakGlassRule(allow: [0, 1000]).namesOthers(than: 500))
    }
}
