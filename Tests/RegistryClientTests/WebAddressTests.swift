import Model
import RegistryClient
import Testing

@Suite struct WebAddressTests {
    @Test(arguments: [
        ("/v2/a/blobs/uploads/1?_state=x", "https://r.example/v2/a/blobs/uploads/1?_state=x"),
        ("https://cdn.example:8443/b?sig=1", "https://cdn.example:8443/b?sig=1"),
        ("//cdn.example/b", "https://cdn.example/b"), ("?_state=2", "https://r.example/v2/x/y?_state=2"),
        ("z", "https://r.example/v2/x/z"), ("https://r.example", "https://r.example/"),
        ("https://r.example/a#fragment", "https://r.example/a"),
    ]) func `a Location is resolved against the request`(location: String, expected: String) throws {
        let base = try WebAddress(parsing: "https://r.example/v2/x/y?old=1")
        let address = try base.resolving(location)
        #expect("\(address.origin)\(address.target)" == expected)
    }

    @Test(arguments: [
        "http://r.example/a", "ftp://r.example/a", "https://user:secret@r.example/", "https://r.example/a b",
        "https:///a", "javascript:alert(1)", "https://r.example/\u{7f}", "https://r.example/\r\nx: y",
    ]) func `no Location leads away from TLS or carries credentials`(location: String) throws {
        let base = try WebAddress(parsing: "https://r.example/v2/x")
        #expect(throws: Failure.self) { try base.resolving(location) }
    }

    @Test(arguments: [
        ("https://r.example", "https://r.example:443", true),
        ("http://r.example", "http://R.example:80", true),
        ("https://r.example", "http://r.example", false),
        ("https://r.example", "https://r.example:444", false),
        ("https://r.example", "https://cdn.r.example", false),
    ]) func `an origin is scheme, host and port`(left: String, right: String, isSame: Bool) throws {
        let (left, right) = (try WebAddress(parsing: left).origin, try WebAddress(parsing: right).origin)
        #expect((left == right) == isSame)
        #expect(!isSame || Set([left, right]).count == 1)
    }

    @Test(arguments: [
        ("https://r.example/u", "/u?digest=sha256:00"),
        ("https://r.example/u?s=%2F", "/u?s=%2F&digest=sha256:00"),
        ("https://r.example/u?", "/u?digest=sha256:00"),
    ]) func `a query item is added and the rest stays as it is`(address: String, expected: String) throws {
        #expect(try WebAddress(parsing: address).adding("digest", "sha256:00").target == expected)
    }

    @Test func `what is shown has no query, which may be a signature`() throws {
        #expect("\(try WebAddress(parsing: "https://r.example/a?sig=secret"))" == "https://r.example/a")
    }
}
