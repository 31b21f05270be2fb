import StrataTransport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Two authorities and a certificate from each, made for these tests and valid for a hundred years.
enum Certificates {
  static let firstAuthority = """
    -----BEGIN CERTIFICATE-----
    MIIBYzCCAQmgAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1BdXRob3Jp
    dHkgb25lMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAYMRYwFAYD
    VQQDDA1BdXRob3JpdHkgb25lMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZ21p
    Iw7PHC78Z85dje4TxIaw2mEn4zg4MNCgKFRDhgpNJ+GBP0aMu0Vw6F3m+3drEuLn
    YB1jzPzW3xjXBijxQ6NCMEAwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMC
    AQYwHQYDVR0OBBYEFNcBDA1zhoelObCpXSfw/Bde8ap7MAoGCCqGSM49BAMCA0gA
    MEUCICx+24H6pYhXquEeP1QyBPt14j7qICVLWWLWFbNz6Nz+AiEA7W2pZDPTOwlo
    uOLLBwij2o8u3ZFA5IcV6azvbW1UuLw=
    -----END CERTIFICATE-----
    """

  static let firstCertificate = """
    -----BEGIN CERTIFICATE-----
    MIIBZjCCAQugAwIBAgIBAjAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1BdXRob3Jp
    dHkgb25lMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAPMQ0wCwYD
    VQQDDARub2RlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAElZQgY0isj4m9y4E3
    9nYl3Nixif//J4YljBDgkllYuRo6SehixjeKelbLOjmNHIMuHt/m/cyoyMlNL7Dd
    EasxxqNNMEswCQYDVR0TBAIwADAdBgNVHQ4EFgQUySWhs4zgXF7pEIW9NRgPAa9D
    dh0wHwYDVR0jBBgwFoAU1wEMDXOGh6U5sKldJ/D8F17xqnswCgYIKoZIzj0EAwID
    SQAwRgIhALsis2iiBKpMg/1LCJjqKGSN+2Z/OPc1S7rOTgFVumQIAiEAw5vACE7N
    pPqD51udv1L3iyENVWi1s/8dEjDYATfG4jM=
    -----END CERTIFICATE-----
    """

  static let firstKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQguhNem1WoQcZc67GM
    iGjwzhx4PN24gtggaHNSTKUziMyhRANCAASVlCBjSKyPib3LgTf2diXc2LGJ//8n
    hiWMEOCSWVi5GjpJ6GLGN4p6Vss6OY0cgy4e3+b9zKjIyU0vsN0RqzHG
    -----END PRIVATE KEY-----
    """

  static let secondAuthority = """
    -----BEGIN CERTIFICATE-----
    MIIBYzCCAQmgAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1BdXRob3Jp
    dHkgdHdvMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAYMRYwFAYD
    VQQDDA1BdXRob3JpdHkgdHdvMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwRGt
    4+2d/4p7Fe3Qgfm6qGbOy0oFnzpk8r61Ml7Tb8fFuce1uT3uTLpTYKgBkqB89+Hj
    ykhOnEfXYJqpxhrSUKNCMEAwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMC
    AQYwHQYDVR0OBBYEFNKWP4HYt7cT8h4GpCj7jQw/vD80MAoGCCqGSM49BAMCA0gA
    MEUCIB4w449s+aZggeyFbKIVCo0wGNOjE+6pviGqL1aNSyznAiEAxqJZ4pY4V7RK
    5p8SEiaXQhsH7FgfNUBAMulI+K33hOc=
    -----END CERTIFICATE-----
    """

  static let secondCertificate = """
    -----BEGIN CERTIFICATE-----
    MIIBZTCCAQugAwIBAgIBAjAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1BdXRob3Jp
    dHkgdHdvMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAPMQ0wCwYD
    VQQDDARub2RlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEm6TcxsPZb4WGZd1T
    CNq0fSJH5M8gqC5cKiA7QG7yUoQWCe9QJwsOqCdH1RjQFjfNVhJ3wyltjt8+zwkt
    fRGJuaNNMEswCQYDVR0TBAIwADAdBgNVHQ4EFgQUl4mFIGkUsekrJNhSDsqEsVX0
    Zm8wHwYDVR0jBBgwFoAU0pY/gdi3txPyHgakKPuNDD+8PzQwCgYIKoZIzj0EAwID
    SAAwRQIgM6ZeervN8eqFJZLi42uh19mOKNSYZPP6clOhUQyaFmoCIQDlUej9vjo/
    U/35eAP1M++12g4+vxRFi4rHJJF23PMnOw==
    -----END CERTIFICATE-----
    """

  static let secondKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6DyFw19BMVQ2t2uj
    TeFMHM/krKV1P3HyJMpQQev/fsqhRANCAASbpNzGw9lvhYZl3VMI2rR9IkfkzyCo
    LlwqIDtAbvJShBYJ71AnCw6oJ0fVGNAWN81WEnfDKW2O3z7PCS19EYm5
    -----END PRIVATE KEY-----
    """

  /// Files in `directory` for a member whose certificate comes from the one authority and who trusts the same or the other.
  static func files(in directory: String, certificateOf first: Bool, trusting firstAuthority: Bool) throws -> TransportTLS {
    let names = ["certificate", "key", "authority"].map { directory + "/" + $0 + "-\(first)-\(firstAuthority).pem" }
    let texts = first ? [firstCertificate, firstKey] : [secondCertificate, secondKey]
    for (name, text) in zip(names, texts + [firstAuthority ? Certificates.firstAuthority : secondAuthority]) {
      guard let file = fopen(name, "w") else { throw NoFile() }
      fputs(text + "\n", file)
      fclose(file)
    }
    return TransportTLS(certificateFile: names[0], keyFile: names[1], authorityFile: names[2])
  }

  struct NoFile: Error {}
}
