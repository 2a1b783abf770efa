/* Keys for tests, which are no secrets: P-256 is that of RFC 7515 A.3, Ed25519 that of RFC 8032
 * 7.1, the others are anybody's. */
#ifndef LEAT_TEST_CRYPTO_KEYS_H
#define LEAT_TEST_CRYPTO_KEYS_H

#define PEM_P256_PRIVATE                                                                           \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"                           \
    "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"                           \
    "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"                                   \
    "-----END PRIVATE KEY-----\n"

#define PEM_P256_SEC1                                                                              \
    "-----BEGIN EC PRIVATE KEY-----\n"                                                             \
    "MHcCAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49\n"                           \
    "AwEHoUQDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72b\n"                           \
    "focs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"                                                       \
    "-----END EC PRIVATE KEY-----\n"

#define PEM_P256_PUBLIC                                                                            \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"                           \
    "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"                               \
    "-----END PUBLIC KEY-----\n"

#define PEM_ED25519_PRIVATE                                                                        \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"                           \
    "-----END PRIVATE KEY-----\n"

#define PEM_ED25519_PUBLIC                                                                         \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"                               \
    "-----END PUBLIC KEY-----\n"

#define PEM_RSA_PRIVATE                                                                            \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQDhKK8FABPXDp+M\n"                           \
    "D0d0Qx+siITJy4L2jGUdM+mrmMsTtwOAnf0ESpQbraquMZ1NWaNa4CW0dQgk7mPe\n"                           \
    "m9VURZbqY7xZuQcg5R+i3e1fOLrt5o0WCTPBB44UVHct1ksQLcmQV3yNmfFJBIrD\n"                           \
    "DpWAvGZG9Z0Va/9KqpVz3Bl1UPI+Ro8OSo649geEjAiAfiWof1YHPHqhZPm9XcUr\n"                           \
    "LU0Z39pwF74kcUxkshNKNcceunnpzQlzUGRbxAlvDIPBxiMCVe23wmfHjYwmDlHb\n"                           \
    "fm7j50xll6r0RnWUw9yAwcMAR29mvE/UE+QzXlhU3Y0bL3gxbaQsVY3izUyevcxE\n"                           \
    "ONgiRiipAgMBAAECggEAB9BkEWzJHulolF8QhMTXBP7ZngxewwbWT4JtR8Gyu63+\n"                           \
    "u0PSqoeaWR5q0iI683YfWw9QFoh3hS0qgvscFuzD6eY7WCpeI/cdZPThUww9+Ide\n"                           \
    "OmUfE2abSvtUBc1b8K6D1GtJbOAO98edSckfEkccIG10S3B0xmS9cRHFHY525SvB\n"                           \
    "TIF+EDSAls9KoCB0BvF4ZmEM6+wohiqONmk4e7KXEZXrUde5uWCLktt9X0XjyNcB\n"                           \
    "pNbmvn0biYWYaViAwYbwOwD9fvd6xp3eYfDiw84ED5mDp8d8OmxEaDqRa4e8ule/\n"                           \
    "9j1Fi+5nhGYo6a+30eEcewfo6MU8HXDzdkAbvQPHMQKBgQD/DHjVU0MrhPBfGqly\n"                           \
    "u3lJH45dfUqez+cl9PEp5MCycG3Oii6crdBakxePKHx1ZKaO+lTQl4J43D2x/esp\n"                           \
    "IIQ6C87WafYQA90UlKlVfrbGG3oJS1u+LSwjhRd3kbRhQScEDfgFoS26yU7TYUT5\n"                           \
    "aIRJStAI6peI0pzGQeXorbP5tQKBgQDh/6wIzJdjA6ARFC/aDPcz4d998SeJy24v\n"                           \
    "k48muNX5G4PCD3VFzdASaLlPh2ClbMPr7heFlsSkGniLfRl/VnH58fPNDqDrmeUq\n"                           \
    "97UqnnT1Hqs2x3vpmUlazGkh2wtdR9OmVY8aM+fm9CBB0szaKTwflImoltlisr+P\n"                           \
    "pF9JHcO7pQKBgQCN5/KTPvBwllbnk34USBsDhHtBqSSLmEGT7OUB2jUdE1EFSf0F\n"                           \
    "T/BNdOn2zR/ycT36722hYatGc8Qf9JeTGnR3l3pN8kbmQkAP42cUGpy3PTJ5WWSC\n"                           \
    "O8ADQ1n7PSaPtiBvMRZ+i19WPguNsOEfo/d2kBmP3HbTudtgs+mnvH4WwQKBgQDN\n"                           \
    "RhR1nZd3+Qf/200nipVSy7vbQhq+n0eC8U2aR1MbRDGmJ7JGaA2xWuvO39EaELPY\n"                           \
    "bVdyIKKVx/FsCYIKVnOKKole3QWvWgZ8w6gLgQgMyQGM7R6Q7Iljbr2jYbltzdrh\n"                           \
    "f19O1oyyC1XtU9J76e5RZPKwbewgKOm0SAHAgMeTfQKBgQD7SwYzsgyXYIBm7rvE\n"                           \
    "FmpXt4Nj5vfpAxSzBn9Y/NRqqW47BUTpHd64NiUoYhKBbg2wbFQpRpJlVacMYxMq\n"                           \
    "kD77QPAXbkIO0PDT0OejUhNvL7CW8Ilx9sSdYaa0tME9VFaO0Ml5P9qSWPS3FaoP\n"                           \
    "Hv9EP4eukN99eyPnGAS+G8577A==\n"                                                               \
    "-----END PRIVATE KEY-----\n"

#define PEM_RSA_PUBLIC                                                                             \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA4SivBQAT1w6fjA9HdEMf\n"                           \
    "rIiEycuC9oxlHTPpq5jLE7cDgJ39BEqUG62qrjGdTVmjWuAltHUIJO5j3pvVVEWW\n"                           \
    "6mO8WbkHIOUfot3tXzi67eaNFgkzwQeOFFR3LdZLEC3JkFd8jZnxSQSKww6VgLxm\n"                           \
    "RvWdFWv/SqqVc9wZdVDyPkaPDkqOuPYHhIwIgH4lqH9WBzx6oWT5vV3FKy1NGd/a\n"                           \
    "cBe+JHFMZLITSjXHHrp56c0Jc1BkW8QJbwyDwcYjAlXtt8Jnx42MJg5R235u4+dM\n"                           \
    "ZZeq9EZ1lMPcgMHDAEdvZrxP1BPkM15YVN2NGy94MW2kLFWN4s1Mnr3MRDjYIkYo\n"                           \
    "qQIDAQAB\n"                                                                                   \
    "-----END PUBLIC KEY-----\n"

#define PEM_RSA_PUBLIC_PKCS1                                                                       \
    "-----BEGIN RSA PUBLIC KEY-----\n"                                                             \
    "MIIBCgKCAQEA4SivBQAT1w6fjA9HdEMfrIiEycuC9oxlHTPpq5jLE7cDgJ39BEqU\n"                           \
    "G62qrjGdTVmjWuAltHUIJO5j3pvVVEWW6mO8WbkHIOUfot3tXzi67eaNFgkzwQeO\n"                           \
    "FFR3LdZLEC3JkFd8jZnxSQSKww6VgLxmRvWdFWv/SqqVc9wZdVDyPkaPDkqOuPYH\n"                           \
    "hIwIgH4lqH9WBzx6oWT5vV3FKy1NGd/acBe+JHFMZLITSjXHHrp56c0Jc1BkW8QJ\n"                           \
    "bwyDwcYjAlXtt8Jnx42MJg5R235u4+dMZZeq9EZ1lMPcgMHDAEdvZrxP1BPkM15Y\n"                           \
    "VN2NGy94MW2kLFWN4s1Mnr3MRDjYIkYoqQIDAQAB\n"                                                   \
    "-----END RSA PUBLIC KEY-----\n"

#define PEM_RSA_1024                                                                               \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC/IGFXaQTOIldrZ9uU2ZnKT8PZ\n"                           \
    "WoStgm9t8aiAW7kPGhcc41Cw19zJEF0UQ4dcl2Htrdyv3ca9T3IjlYmyzDd1E4LG\n"                           \
    "FofC9VlRWCXPEMSmLToJcGsi2rBLMA9bfyTZN5bvVWXJxhBVlAuYeIKOfb7sWTBP\n"                           \
    "CmD4PrYeUbthfR6NXQIDAQAB\n"                                                                   \
    "-----END PUBLIC KEY-----\n"

#define PEM_P384_PRIVATE                                                                           \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDChyjmDiFTZhQs8ULjt\n"                           \
    "5Gi6SHjBVe8PDRM2mQ5DsPkOY2Azj0/FgiHgdRnG2pSy9RyhZANiAAQfsyrUKDdc\n"                           \
    "CxQQBTc9XHVGZ0IWcpBqLDj2BJDqhSzIy0QiKRGlGS4xqiv8k48BINM1SSdBeBV6\n"                           \
    "BHndz6WUsTyZMAnNehB7kBiibaV95wYm0ozHZHQNvJpWR1YWrlnkhLk=\n"                                   \
    "-----END PRIVATE KEY-----\n"

#define PEM_K1_PUBLIC                                                                              \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE1LkLEbJ3F0vxee0+D7DpV/SW67uVR5Kj\n"                           \
    "JaMS72cA5+c4VGvyCzJ0bQoOV4EYVhSNUyNC7fIfJefQZQ0SzhMFBQ==\n"                                   \
    "-----END PUBLIC KEY-----\n"

#define PEM_ENCRYPTED                                                                              \
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"                                                      \
    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAisTAWMCKLxTgICCAAw\n"                           \
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEMJBwfLCVOJo2Dc8fRTFKnQEQFrp\n"                           \
    "KfRPSjEjp5qqeeaP8bdlVClJsi4zyHfzDIZkz4K2P03anI4U0ojHXWYahw5gCfFA\n"                           \
    "JhjmxyUChsLk+1EtxRY=\n"                                                                       \
    "-----END ENCRYPTED PRIVATE KEY-----\n"

#define PEM_ENCRYPTED_SEC1                                                                         \
    "-----BEGIN EC PRIVATE KEY-----\n"                                                             \
    "Proc-Type: 4,ENCRYPTED\n"                                                                     \
    "DEK-Info: AES-256-CBC,AE02A547763FD23610CFE4D7DDE9582D\n"                                     \
    "\n"                                                                                           \
    "qgcf39DmOKT5Aso7sOIMfZTAY9JBMKw0btatQcBf2Zan6lZxtce4mMXxGhbM2PzN\n"                           \
    "kQ+Bz47hKJtCzgEheKlfGwsmbnDMqFLBFfliQ1fsA75Ldkp4z0ZjHpqGQRxRmoBZ\n"                           \
    "3gL+4cD0f1/VUMy297AUfKcLepsWKSljgqgtB6PF1Go=\n"                                               \
    "-----END EC PRIVATE KEY-----\n"

#define PEM_CERTIFICATE                                                                            \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBdTCCARugAwIBAgIUaPT37UKmpmS8NAZcwRo9GTd6cyEwCgYIKoZIzj0EAwIw\n"                           \
    "DzENMAsGA1UEAwwEbGVhdDAgFw0yNjExMzAyMTM2MjJaGA8yMTI2MTEwNjIxMzYy\n"                           \
    "MlowDzENMAsGA1UEAwwEbGVhdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABH/N\n"                           \
    "zidw9sRdQYPL7m/bS3tYBzM1e+nvE7rPbjx70VRFx/FEzRu9m36HLN/tue659LNp\n"                           \
    "XW6pCyStikYjKIWI5a2jUzBRMB0GA1UdDgQWBBTOjRaxyTOOt/45eZmuRb7uP7WG\n"                           \
    "hjAfBgNVHSMEGDAWgBTOjRaxyTOOt/45eZmuRb7uP7WGhjAPBgNVHRMBAf8EBTAD\n"                           \
    "AQH/MAoGCCqGSM49BAMCA0gAMEUCIB6L4dA2vut6TQvZVS/OkQHQ4Zu2dZNgJYKw\n"                           \
    "fKlTcHJtAiEAjRbpw3w7199s2OLSMFLhyoijnx9AWJ9TpcM4B7lVevU=\n"                                   \
    "-----END CERTIFICATE-----\n"

#define PEM_PARAMETERS                                                                             \
    "-----BEGIN EC PARAMETERS-----\n"                                                              \
    "BggqhkjOPQMBBw==\n"                                                                           \
    "-----END EC PARAMETERS-----\n"

#endif
