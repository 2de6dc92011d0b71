import Testing

@testable import Model

@Suite struct NamesTests {
    private static let longest = String(repeating: "a", count: 40)

    @Test(arguments: ["a", "web-api", "a1", "a--b", longest])
    func `a service name is small letters, digits and dashes`(_ text: String) throws {
        #expect(try ServiceName(text).text == text)
    }

    @Test(arguments: ["", "1a", "-a", "a-", "A", "a_b", "a.b", "é", "a b", "a/b", longest + "a"])
    func `what is not a service name is refused`(_ text: String) {
        #expect(throws: Failure.self) { try ServiceName(text) }
    }

    @Test(arguments: ["hello", "hello@staging"])
    func `a service key reads back what it writes`(_ text: String) throws {
        #expect(try ServiceKey(parsing: text).description == text)
    }

    @Test(arguments: ["", "@", "hello@", "@staging", "hello@a@b", "hello@Production"])
    func `what is not a service key is refused`(_ text: String) {
        #expect(throws: Failure.self) { try ServiceKey(parsing: text) }
    }

    @Test func `production is not written`() throws {
        #expect(try ServiceKey(parsing: "hello@production").description == "hello")
    }

    @Test func `release numbers begin at 1`() throws {
        #expect(try ReleaseNumber(parsing: "r7") == ReleaseNumber(parsing: "7"))
        for wrong in ["", "r", "r0", "-1", "rr1", "1.0", "R1"] {
            #expect(throws: Failure.self) { try ReleaseNumber(parsing: wrong) }
        }
    }

    @Test(arguments: [
        ("hello-r3-9", 9), ("a-r1-007", 7), ("plain", 0), ("x12y", 0), ("r-999999999999", 999_999_999_999),
        ("r-" + String(repeating: "9", count: 100), 999_999_999_999),
    ])
    func `an instance's ordinal is the number at its end`(text: String, ordinal: Int) throws {
        #expect(try InstanceID(text).ordinal == ordinal)
    }

    @Test func `instance names tell service, environment, release and ordinal`() throws {
        let production = try ServiceKey(parsing: "hello")
        let staging = try ServiceKey(parsing: "hello@staging")
        let ninth = InstanceID(production, release: ReleaseNumber(3), ordinal: 9)
        #expect(ninth.text == "hello-r3-9")
        #expect(InstanceID(staging, release: ReleaseNumber(3), ordinal: 9).text == "hello-staging-r3-9")
        #expect(ninth < InstanceID(production, release: ReleaseNumber(3), ordinal: 10))
        #expect(try InstanceID(ninth.text) == ninth)
    }

    @Test(arguments: ["debian/bookworm", "ubuntu/noble"])
    func `a distribution reads back what it writes`(_ text: String) throws {
        #expect(try Recipe.Distribution(parsing: text).description == text)
    }

    @Test(arguments: [
        "", "debian", "debian/", "/bookworm", "fedora/40", "debian/../x", "debian/bookworm/main",
    ])
    func `what is not a distribution is refused`(_ text: String) {
        #expect(throws: Failure.self) { try Recipe.Distribution(parsing: text) }
    }

    @Test(arguments: ["nginx-light", "libstdc++6", "0ad", "redis=5:7.0.15-1~deb12u1"])
    func `a package request reads back what it writes`(_ text: String) throws {
        #expect(try Recipe.PackageRequest(parsing: text).description == text)
    }

    @Test(arguments: ["", "a", "Nginx", "-a", "nginx=", "a b", "nginx=1;rm", "../x", "nginx/bookworm"])
    func `what is not a package request is refused`(_ text: String) {
        #expect(throws: Failure.self) { try Recipe.PackageRequest(parsing: text) }
    }
}
