import Foundation
import Model
import Testing
import TestKit

/// An image of somebody else's, rolled out with files of one's own.
extension OnThisHost {
    @Suite struct FromImageTests {
        @Test func `an image with nothing in it serves with a program of the recipe's`() throws {
            let site = try Site()
            let made = shell(
                "cd '\(site.folder)' && umoci init --layout empty && umoci new --image empty:v1 "
                    + "&& umoci config --image empty:v1 --architecture \(Architecture.native.rawValue)")
            #expect(made.status == 0, "\(made.output)")
            try site.addTestServer(
                "hello",
                """
                run:
                  port: 8080
                  health: {path: /}
                rollout:
                  watch: 0s
                  drain: 0s
                listen: 127.0.0.1:8000

                """)
            try site.edit("hello") {
                $0.replacing(
                    "  distribution: debian/bookworm\n  packages: [libc6]\n",
                    with: "  from: \"oci:../empty:v1\"\n")
            }
            try site.start()
            let result = try site.deploy("hello")
            #expect(result.status == 0, "\(result.errors)")
            let page = shell(
                "curl -s -o /dev/null -w '%{http_code}' --max-time 60 http://127.0.0.1:\(site.port)/")
            #expect(page.output == "200")
            site.stop()
            #expect(site.leftovers().isEmpty)
        }
    }
}
