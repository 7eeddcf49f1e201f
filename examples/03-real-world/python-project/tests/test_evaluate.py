import unittest

from calc import CalcError, evaluate


class EvaluateTest(unittest.TestCase):
    def test_precedence(self):
        self.assertEqual(evaluate("2 + 3 * 4"), 14)
        self.assertEqual(evaluate("(2 + 3) * 4"), 20)
        self.assertEqual(evaluate("-2 ** 2"), -4)

    def test_numbers(self):
        self.assertEqual(evaluate(" 7 // 2 "), 3)
        self.assertAlmostEqual(evaluate("1 / 3"), 0.333333, places=5)

    def test_errors(self):
        for text in ["", "1 +", "1 / 0", "2 ** 99999", "__import__('os')", "'a' * 3", "x"]:
            with self.subTest(text=text), self.assertRaises(CalcError):
                evaluate(text)


if __name__ == "__main__":
    unittest.main()
