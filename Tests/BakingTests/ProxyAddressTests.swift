import Testing

@testable import Baking

@Suite struct ProxyAddressTests {
    @Test(
        arguments: [
            ("http://proxy:3128", "proxy", 3128, nil, ""), ("http://proxy:3128/", "proxy", 3128, nil, ""),
            ("http://ann:secret@proxy:3128", "proxy", 3128, "ann", "secret"),
            ("http://ann:p%40ss%3aword@proxy.example/", "proxy.example", 80, "ann", "p@ss:word"),
            ("HTTP://ann@proxy", "proxy", 80, "ann", ""), ("proxy:8080", "proxy", 8080, nil, ""),
            ("http://[::1]:3128", "::1", 3128, nil, ""),
        ] as [(String, String, Int, String?, String)]) func `an address is read in all its parts`(
            text: String, host: String, port: Int, user: String?, password: String
        ) throws
    {
        let proxy = try #require(ProxyAddress(text))
        #expect(proxy.host == host && proxy.port == port && proxy.user == user && proxy.password == password)
        #expect(!"\(proxy)".contains("secret"))
    }

    @Test(arguments: [
        "", "http://", "socks5://proxy:1080", "http://proxy:0", "http://proxy:x", "http://[::1]x",
    ])
    func `what is none is not guessed`(text: String) {
        #expect(ProxyAddress(text) == nil)
    }

    private static let environment = [
        "http_proxy": "http://plain:1", "https_proxy": "http://secure:2", "HTTP_PROXY": "http://evil:3",
        "no_proxy": "localhost, .internal.example,direct.example:443",
    ]

    @Test(
        arguments: [
            ("http://a.example/x", "plain:1"), ("https://a.example/x", "secure:2"),
            ("https://u@a.example:8443/x", "secure:2"), ("file:///x", nil), ("https://localhost/x", nil),
            ("https://mirror.internal.example/x", nil), ("https://internal.example", nil),
            ("https://notinternal.example", "secure:2"), ("http://direct.example/x", nil),
        ] as [(String, String?)]) func `the environment says which proxy an address is reached by`(
            url: String, proxy: String?
        )
    {
        #expect(ProxyAddress(for: url, environment: Self.environment)?.description == proxy)
    }

    @Test func `a variable in capitals counts, but for the one that a web server's client can set`() {
        #expect(ProxyAddress(for: "http://a.example", environment: ["HTTP_PROXY": "http://evil:3"]) == nil)
        #expect(
            ProxyAddress(for: "https://a.example", environment: ["HTTPS_PROXY": "http://p:3"])?.description
                == "p:3")
        #expect(
            ProxyAddress(for: "http://a.example", environment: ["ALL_PROXY": "http://p:4"])?.description
                == "p:4")
        #expect(
            ProxyAddress(for: "http://a.example", environment: ["all_proxy": "http://p", "no_proxy": "*"])
                == nil)
    }
}
